"""From tokens to a trained model: the model, its rows, the training loop and its checkpoints."""


class TrainingError(Exception):
    """Training could not go on; the state before the failing step is saved. The message says what to do."""
