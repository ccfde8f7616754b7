"""The machinery: plans, storage, sources and engines. It knows nothing of licences, languages or duplicates."""
