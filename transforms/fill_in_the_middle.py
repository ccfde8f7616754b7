"""Fill-in-the-middle: documents cut into prefix, middle and suffix, with the middle put last.

As Bavarian et al. 2022 (arXiv 2207.14255), sections 3 and 3.1: whole documents are rearranged before they are packed;
both cuts are drawn evenly from all places between characters (code points), so each part may be empty; the parts are
encoded one by one, so that a cut through a word makes pieces of a word, as a cursor in an editor does. Each part has a
sentinel before it:

    PSM   <prefix> prefix <suffix> suffix <middle> middle
    SPM   <prefix> <suffix> suffix <middle> prefix middle

The second is the paper's variant for joint training: the form that the first one takes with an empty prefix, so that
both orders share what is learned.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from transforms.draws import draw

PREFIX, MIDDLE, SUFFIX = SENTINELS = ("<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>")
DRAWS = ("fim", "fim order", "fim cut", "fim other cut")


class Piece(NamedTuple):
    """A stretch of a document that is encoded by itself, and the sentinel after it.

    `start`: the character of the document that it begins with. `ends`: it is the last, and end-of-text follows.
    """

    text: str
    start: int
    part: str | None = None
    sentinel: str | None = None
    ends: bool = False


@dataclass(frozen=True)
class FillInTheMiddle:
    """Rearranges a share `rate` of the documents, of those a share `spm_rate` in the order SPM; drawn by content id."""

    rate: float = 0.5
    spm_rate: float = 0.5
    seed: int = 0

    def arranged(self, texts: list[str | None], content_ids: pa.Array) -> list[list[Piece]]:
        """Each document's pieces, in the order in which they are encoded; one where it is left as it is, or null."""
        draws = np.stack([draw(content_ids, self.seed, purpose) for purpose in DRAWS]).T.tolist()
        return [self._pieces(text or "", *drawn) for text, drawn in zip(texts, draws, strict=True)]

    def _pieces(self, text: str, drawn: int, order: int, *cuts: int) -> list[Piece]:
        if drawn >= self.rate * 2.0**64:
            return [Piece(text, 0, ends=True)]
        low, high = sorted((len(text) + 1) * cut >> 64 for cut in cuts)
        middle = Piece(text[low:high], low, "middle", ends=True)
        prefix, suffix = Piece(text[:low], 0, "prefix"), Piece(text[high:], high, "suffix", MIDDLE)
        opening = Piece("", 0, None, PREFIX)
        if order < self.spm_rate * 2.0**64:
            return [opening, Piece("", 0, None, SUFFIX), suffix, prefix, middle]
        return [opening, prefix._replace(sentinel=SUFFIX), suffix, middle]
