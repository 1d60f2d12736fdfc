"""The exceptions that CVSegGuide raises on purpose.

Each message is one line that names the file or option at fault and what is wrong with it. The
command line prints it behind ``cvsegguide: error:`` and ends with status 2.
"""

import re


class CVSegGuideError(Exception):
    """Base of every error that the user can mend."""

    exit_status = 2


class InputError(CVSegGuideError):
    """An image, raster, table or argument that cannot be used."""


class CheckpointError(InputError):
    """A weights file that is damaged, unsafe, or of another architecture."""


class DatasetError(InputError):
    """A data set whose layout or files are not as documented."""


class ConfigurationError(InputError):
    """Options that contradict each other or the model."""


class TrainingError(CVSegGuideError):
    """A training run that cannot go on: losses that are not finite, too many broken samples."""

    exit_status = 1


class InferenceWarning(UserWarning):
    """Something that an answer depends on was not given, and was assumed."""


def first_sentence(text: str, limit: int = 160) -> str:
    """The first sentence of another library's message, or the first line if that is shorter.

    Args:
        text: The message, of any number of lines.
        limit: Longer sentences are cut between words, with an ellipsis.
    """
    line = " ".join((text.strip().splitlines() or [""])[0].split())
    sentence = re.split(r"(?<=[.!?])\s", line, maxsplit=1)[0].rstrip(".")
    if len(sentence) <= limit:
        return sentence
    return sentence[:limit].rsplit(" ", 1)[0] + " ..."
