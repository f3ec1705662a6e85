"""Text as whole numbers: k for the k-th character of an alphabet, 0 for the end and for all that follows it."""

import unicodedata
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pyrovae.data.checks import Array
from pyrovae.errors import PyrovaeError

MOST = 255  # characters, so that a code is a byte


def tidy(text: str) -> str:
    """Returns a text with accents as part of their letters (NFC), and one blank for any white space.

    Example:
        >>> tidy("  New\\t York ")
        'New York'
    """
    return " ".join(unicodedata.normalize("NFC", text).split())


def alphabet_of(where: str, texts: Sequence[str]) -> str:
    """Returns all characters of some texts, sorted.

    Raises:
        PyrovaeError: They are too few to tell texts apart, or too many for a byte.

    Example:
        >>> alphabet_of("toy", ["banana", "bar"])
        'abnr'
    """
    found = "".join(sorted(set().union(*texts)))
    if len(found) < 2:
        message = f"data set {where}: its texts are of one character, {found!r}: nothing tells them apart but length"
        raise PyrovaeError(message, hint="give texts of two characters or more")
    if len(found) > MOST:
        message = f"data set {where}: {len(found)} different characters, {MOST} are the most"
        raise PyrovaeError(message, hint="write the texts in fewer characters, such as the Latin ones")
    return found


def to_codes(where: str, texts: Sequence[str], alphabet: str, longest: int) -> Array:
    """Returns texts as codes, uint8, shape ``(n, longest)``.

    Args:
        where: What messages call the texts.
        texts: Each of up to ``longest`` characters.
        alphabet: The characters 1, 2, ...
        longest: Codes a text.

    Raises:
        PyrovaeError: A text is longer, or has another character; its number and the character are named.

    Example:
        >>> to_codes("toy", ["ba", "b"], "ab", 3).tolist()
        [[2, 1, 0], [2, 0, 0]]
    """
    codes = {character: code for code, character in enumerate(alphabet, 1)}
    x = np.zeros((len(texts), longest), dtype=np.uint8)
    for row, text in enumerate(texts):
        if len(text) > longest:
            message = f"data set {where}: text {row} has {len(text)} characters, the model reads {longest}"
            raise PyrovaeError(message, hint="shorten it, or train with a larger data.longest")
        unknown = next((character for character in text if character not in codes), None)
        if unknown is not None:
            message = f"data set {where}: text {row} has the character {unknown!r}, which the model has never seen"
            raise PyrovaeError(message, hint=f"it knows {alphabet!r}")
        x[row, : len(text)] = [codes[character] for character in text]
    return x


def to_texts(codes: Tensor | Array, alphabet: str) -> list[str]:
    """Returns the texts of codes, shape ``(n, longest)``; what follows the first 0 is not read.

    Example:
        >>> to_texts(torch.tensor([[2.0, 1.0, 0.0], [1.0, 0.0, 2.0]]), "ab")
        ['ba', 'a']
    """
    rows = torch.as_tensor(codes).long().tolist()
    return ["".join(alphabet[code - 1] for code in (row[: row.index(0)] if 0 in row else row)) for row in rows]
