"""Texts to token ids, by a checkpoint's tokenizer: one way for training, scores and the demo."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from jobs.training.conversation import pieces
from transforms.tokenizer import END_OF_TEXT, read_tokenizer, special


@dataclass(frozen=True)
class Encoder:
    """A tokenizer that takes every text as characters, also one that spells a special token.

    `end_of_text`: the id that closes what a model says; it comes from here alone.
    """

    tokenizer: Tokenizer
    end_of_text: int

    @staticmethod
    def open(folder: Path, end_of_text: int | None = None) -> "Encoder":
        """That of a folder, with the model's id of end-of-text, or the one that `<|endoftext|>` has.

        Raises ValueError where there is no tokenizer.json, and where nobody tells the id.
        """
        path = tokenizer_file(folder)
        tokenizer = read_tokenizer(path.read_bytes())
        tokenizer.no_truncation()
        tokenizer.no_padding()
        known = tokenizer.token_to_id(END_OF_TEXT)
        if known is not None:
            tokenizer.add_special_tokens(special([END_OF_TEXT]))  # some files have it as an ordinary token
        tokenizer.encode_special_tokens = True
        end = known if end_of_text is None else end_of_text
        if end is None:
            raise ValueError(f"{path}: the tokenizer has no {END_OF_TEXT}")
        return Encoder(tokenizer, end)

    @property
    def vocabulary(self) -> int:
        """One more than the largest id; ids may have holes."""
        return max(self.tokenizer.get_vocab().values()) + 1

    def text(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def conversation(self, messages: Iterable[Mapping[str, str]], language: str) -> list[tuple[int, bool]]:
        """The tokens of a conversation, and whether the model is to learn each; answers end with end-of-text."""
        encoded: list[tuple[int, bool]] = []
        for text, learned in pieces(messages, language):
            encoded += ((token, learned) for token in self.text(text))
            if learned:
                encoded.append((self.end_of_text, True))
        return encoded


def tokenizer_file(folder: Path) -> Path:
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise ValueError(f"{folder} holds no tokenizer.json")
    return path
