"""The exceptions that CVSegGuide raises on purpose.

Each message is one line that names the file or parameter at fault and what is wrong with it. The
command line prints it behind ``cvsegguide: error:`` and ends with status 2.

The library speaks of parameters by their Python names. A door (command line, web page) has names
of its own for them, and puts them in with :meth:`Message.told`.
"""

import re
from collections.abc import Callable

_PARAMETER = re.compile(r"`([A-Za-z_][A-Za-z0-9_.]*)`")


class Message(Exception):
    """A line that names parameters, for every door to put into its own words.

    Args:
        message: One line. Names of parameters in it stand in backticks; dots lead to parameters of
            parameters, such as data.test.root.
        parameter: Python name of the parameter at fault, which the message then does not repeat.
    """

    def __init__(self, message: str, parameter: str | None = None) -> None:
        super().__init__(message)
        self.parameter = parameter

    def told(self, name: Callable[[str], str]) -> str:
        """The message in the words of a door.

        Args:
            name: From the Python name of a parameter to what the door calls it.
        """
        message = in_words(str(self.args[0]), name)
        return message if self.parameter is None else f"{name(self.parameter)}: {message}"

    def __str__(self) -> str:
        return self.told(lambda parameter: parameter)


class CVSegGuideError(Message):
    """Base of every error that the user can mend."""

    exit_status = 2


def in_words(text: str, name: Callable[[str], str]) -> str:
    """``text`` with each parameter, a Python name in backticks, called by ``name`` of it."""
    return _PARAMETER.sub(lambda found: name(found[1]), text)


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


class InferenceWarning(Message, UserWarning):
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
