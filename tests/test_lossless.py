"""A given tokenizer gives every text back, or it is refused by name with a sample of what it loses."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from jobs.cli import cli
from jobs.curate import curation
from jobs.recipe import RecipeError, load_recipe
from pipeline.storage import Store
from transforms.byte_level import ByteLevel
from transforms.tokenizer import Encode, GivenTokenizer

TEXTS = ["def add(first, second):\n    return first + second\n", "\tfor x in range(10):\n\t\tprint(x)  # Größe\n"] * 3
ALPHABET = sorted(pre_tokenizers.ByteLevel.alphabet())


def byte_level(alphabet: list[str] = ALPHABET) -> Tokenizer:
    """As GPT-2's."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()  # type: ignore[assignment]
    made.train_from_iterator(TEXTS, trainers.BpeTrainer(initial_alphabet=alphabet, vocab_size=320, show_progress=False))
    return made


def with_bytes(fallback: bool = True, missing: int = -1) -> Tokenizer:
    """Characters, and bytes for all others."""
    vocabulary = {f"<0x{byte:02X}>": byte for byte in range(256) if byte != missing}
    vocabulary |= {letter: 256 + place for place, letter in enumerate("abcdefgh xyz\n")}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[], byte_fallback=fallback))
    made.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])  # type: ignore[assignment]
    return made


def changed(change: Callable[[Tokenizer], None]) -> Tokenizer:
    made = byte_level()
    change(made)
    return made


def normalized(*steps: normalizers.Normalizer) -> Tokenizer:
    return changed(lambda made: setattr(made, "normalizer", normalizers.Sequence(list(steps))))


def split_by(*steps: pre_tokenizers.PreTokenizer) -> Tokenizer:
    return changed(lambda made: setattr(made, "pre_tokenizer", pre_tokenizers.Sequence(list(steps))))


def added(token: AddedToken) -> Tokenizer:
    return changed(lambda made: made.add_tokens([token]) and None)


def trained(model: models.Model, trainer: trainers.Trainer, *, splits: bool = True) -> Tokenizer:
    made = Tokenizer(model)
    if splits:
        made.pre_tokenizer = pre_tokenizers.Whitespace()  # type: ignore[assignment]
    made.train_from_iterator(TEXTS, trainer)
    return made


def metaspace() -> Tokenizer:
    made = with_bytes()
    made.pre_tokenizer, made.decoder = (
        pre_tokenizers.Metaspace(),
        decoders.Sequence(  # type: ignore[assignment]
            [decoders.ByteFallback(), decoders.Metaspace(), decoders.Fuse()]
        ),
    )
    return made


def with_dropout() -> Tokenizer:
    described = json.loads(byte_level().to_str())
    described["model"]["dropout"] = 0.1
    return Tokenizer.from_str(json.dumps(described))


LOSSY: dict[str, tuple[Callable[[], Tokenizer], str]] = {
    "bytes missing": (lambda: byte_level([]), "comes back as"),
    "one byte missing": (lambda: byte_level([letter for letter in ALPHABET if letter != "Ģ"]), "comes back as"),
    "byte fallback missing": (lambda: with_bytes(fallback=False), "comes back as"),
    "one byte of the fallback missing": (lambda: with_bytes(missing=0xF4), "comes back as"),
    "lower case": (lambda: normalized(normalizers.Lowercase()), r"'\S+' comes back as"),
    "NFC": (lambda: normalized(normalizers.NFC()), "comes back as"),
    "NFD": (lambda: normalized(normalizers.NFD()), "comes back as"),
    "NFKC": (lambda: normalized(normalizers.NFKC()), "comes back as"),
    "accents": (lambda: normalized(normalizers.NFD(), normalizers.StripAccents()), "comes back as"),
    "stripped": (lambda: normalized(normalizers.Strip()), "comes back as ''"),
    "stripped at the right": (lambda: normalized(normalizers.Strip(left=False)), "comes back as"),
    "line ends": (lambda: normalized(normalizers.Replace("\r\n", "\n")), r"'\\r\\n' comes back as '\\n'"),
    "runs of blanks": (lambda: normalized(normalizers.Replace(Regex(" {33,}"), " ")), "comes back as"),
    "form feeds": (lambda: normalized(normalizers.Replace("\f", "")), r"'\\x0c' comes back as ''"),
    "one letter of Linear B": (lambda: normalized(normalizers.Replace("\U00010000", "")), "comes back as ''"),
    "nmt": (lambda: normalized(normalizers.Nmt()), "comes back as"),
    "bert": (lambda: normalized(normalizers.BertNormalizer(lowercase=False)), "comes back as"),
    "prepended": (lambda: normalized(normalizers.Prepend("_")), "comes back as"),
    "prefix space": (lambda: changed(
        lambda made: setattr(made, "pre_tokenizer", pre_tokenizers.ByteLevel(add_prefix_space=True))), "' x"),
    "blanks removed": (lambda: split_by(
        pre_tokenizers.WhitespaceSplit(), pre_tokenizers.ByteLevel(add_prefix_space=False)), "comes back as"),
    "no decoder": (lambda: changed(lambda made: setattr(made, "decoder", None)), "comes back as"),
    "metaspace": (metaspace, "comes back as"),
    "added and stripping": (lambda: added(AddedToken("<gap>", rstrip=True, normalized=False)), "<gap>"),
    "word pieces": (lambda: trained(models.WordPiece(unk_token="[UNK]"), trainers.WordPieceTrainer(
        special_tokens=["[UNK]"], show_progress=False)), "comes back as"),
    "words": (lambda: trained(models.WordLevel(unk_token="[UNK]"), trainers.WordLevelTrainer(
        special_tokens=["[UNK]"], show_progress=False)), "comes back as"),
    "unigrams": (lambda: trained(models.Unigram(), trainers.UnigramTrainer(
        unk_token="<unk>", special_tokens=["<unk>"], show_progress=False)), "comes back as"),
    "dropout": (with_dropout, "s model has dropout"),
}  # fmt: skip


def recipe(folder: Path, tokenizer: Tokenizer | str) -> Path:
    (folder / "code").mkdir()
    for number, text in enumerate(TEXTS):
        (folder / "code" / f"{number}.py").write_text(text * 20)
    (folder / "given.json").write_text(tokenizer if isinstance(tokenizer, str) else tokenizer.to_str())
    path = folder / "recipe.yaml"
    path.write_text(
        f"sources: [{{kind: directory, uri: {folder}/code}}]\nlicense: {{enabled: false}}\nlanguages: {{keep: all}}\n"
        "quality: {enabled: false}\ntoxicity: {enabled: false}\npii: {enabled: false}\ndialogue: {enabled: false}\n"
        "dedup: {exact: {enabled: false}, near: {enabled: false}, repositories: {enabled: false}}\n"
        "decontaminate: {enabled: false}\noutput: {shards: 1}\nengine: {kind: inline}\n"
        f"tokenize: {{block: 64, tokenizer: {folder}/given.json}}\n"
    )
    return path


@pytest.mark.parametrize("kind", LOSSY)
def test_a_tokenizer_that_loses_texts_is_refused_with_a_sample(tmp_path: Path, kind: str) -> None:
    make, told = LOSSY[kind]
    with pytest.raises(RecipeError, match=rf"tokenize\.tokenizer: {tmp_path}/given\.json: it.*{told}") as error:
        curation(load_recipe(recipe(tmp_path, make())))
    assert len(str(error.value).splitlines()) == 1
    assert len(str(error.value)) < 400


LOSSLESS: dict[str, Callable[[], Tokenizer]] = {
    "as GPT-2's": byte_level,
    "byte fallback": with_bytes,
    "digits apart": lambda: split_by(
        pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)
    ),
    "another pattern": lambda: split_by(
        pre_tokenizers.Split(Regex(r"\w+|\W"), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ),
    "an added word": lambda: added(AddedToken("return", normalized=False)),
    "a special token that strips": lambda: added(AddedToken("<mask>", lstrip=True, special=True)),
}


@pytest.mark.parametrize("kind", LOSSLESS)
def test_a_tokenizer_that_loses_nothing_is_taken(kind: str) -> None:
    GivenTokenizer(LOSSLESS[kind]().to_str().encode()).check()


def test_a_text_that_is_lost_nonetheless_fails_the_run() -> None:
    """What no probe asked for."""
    lossy = normalized(normalizers.Replace("a private phrase", "-"))
    given = GivenTokenizer(lossy.to_str().encode())
    given.check()
    rows = pa.Table.from_batches([given.load()(pa.record_batch({}))])
    encode = Encode(given.vocabulary).load(rows)
    assert encode(pa.record_batch({"content": ["x", None]}))["token_count"].to_pylist() == [2, None]
    with pytest.raises(ValueError, match="it cannot give every text back: 'a private phrase' comes back as '-'"):
        encode(pa.record_batch({"content": ["x", "y" * 999 + "\na private phrase\n" + "z" * 99]}))


def with_holes(shift: Callable[[int], int], *, special: tuple[str, ...] = (), added_ids: bool = False) -> str:
    """As GPT-2's, with other ids."""
    described = json.loads(byte_level().to_str())
    model = described["model"]
    model["vocab"] = {name: shift(number) for name, number in model["vocab"].items()}
    for number, name in enumerate(special):
        token = {"content": name, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
        described["added_tokens"].append({"id": 5000 + number, "special": True, **token})
        if added_ids:
            model["vocab"][name] = 5000 + number
    return json.dumps(described)


HOLES = {
    "in the middle": with_holes(lambda number: number + (number > 100)),
    "many": with_holes(lambda number: number * 7),
    "at the front": with_holes(lambda number: number + 40),
    "beyond uint16": with_holes(lambda number: number + (number > 100) * 70_000),
    "before end-of-text": with_holes(lambda number: number, special=("<|endoftext|>",), added_ids=True),
    "before an added token": with_holes(
        lambda number: number + (number == 50) * 900, special=("<pad>",), added_ids=True
    ),
    "before one that the vocabulary lacks": with_holes(
        lambda number: number + (number > 9), special=("<pad>", "<|endoftext|>")
    ),
}


@pytest.mark.parametrize("kind", HOLES)
def test_a_tokenizer_with_holes_in_its_ids_works(tmp_path: Path, kind: str) -> None:
    described = json.loads(HOLES[kind])
    given = GivenTokenizer(HOLES[kind].encode(), special_tokens=("<|fim_prefix|>",))
    given.check()
    [tokenizer_json] = [data for name, data in zip(*given.load()(pa.record_batch({})).to_pydict().values(), strict=True)
                        if name == "tokenizer.json"]  # fmt: skip
    ids = Tokenizer.from_str(tokenizer_json.decode()).get_vocab()
    assert len(set(ids.values())) == len(ids)
    assert {name: ids[name] for name in described["model"]["vocab"]} == described["model"]["vocab"]
    assert given.vocabulary == max(ids.values()) + 1
    assert ByteLevel.of(tokenizer_json)

    result = CliRunner().invoke(cli, ["run", str(recipe(tmp_path, HOLES[kind])), "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, (result.output, result.exception)
    saved = Tokenizer.from_file(str(tmp_path / "out/tokenizer/tokenizer.json"))
    end = saved.token_to_id("<|endoftext|>")
    blocks = Store(str(tmp_path / "out")).table("tokens")
    stream = [token for row in blocks.to_pylist() for token in row["tokens"][: row["token_count"]]]
    assert stream.count(end) == len(TEXTS)
    assert max(stream) < max(saved.get_vocab().values()) + 1
    assert re.search(r"first \+ second\n", saved.decode(stream, skip_special_tokens=False))


def test_holes_change_no_tokenizer_without_them() -> None:
    plain = byte_level().to_str().encode()
    assert GivenTokenizer(plain)._without_holes() is plain
