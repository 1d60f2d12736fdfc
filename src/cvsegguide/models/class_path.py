"""Classes from outside of the package, by their dotted paths."""

import importlib
import os
import sys
from typing import TypeVar

from cvsegguide.errors import ConfigurationError

Kind = TypeVar("Kind")


def import_class(
    path: str, base: type[Kind], parameter: str, file: str | None = None
) -> type[Kind]:
    """The class ``package.module.Name``.

    Modules are looked for where Python looks for them, and then in the working directory
    (:func:`add_working_directory`).

    Args:
        path: The dotted path.
        base: What it has to be a sub-class of; nothing else is called.
        parameter: Python name of the parameter that says so, for messages.
        file: Where the class was when its path was written down, where that is known.

    Raises:
        ConfigurationError: There is no such module or class, or it is no such sub-class.
    """
    module, _, name = path.rpartition(".")
    try:
        try:
            found = getattr(importlib.import_module(module), name)
        except ModuleNotFoundError:
            if not add_working_directory():
                raise
            found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        known = f"its file, which was {file}," if file else "its file"
        raise ConfigurationError(
            f"'{path}' cannot be imported ({error}); {known} has to lie in the working directory "
            f"({os.getcwd()}) or in a folder of PYTHONPATH",
            parameter=parameter,
        ) from None
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ConfigurationError(f"'{path}' is no {base.__name__}", parameter=parameter)
    return found


def add_working_directory() -> bool:
    """Have Python look for modules in the working directory, last; whether it did not before.

    Python itself leaves it out for a command such as ``cvsegguide``. Processes that this one
    starts find the modules, too.
    """
    folder = os.getcwd()
    if folder in sys.path:
        return False
    sys.path.append(folder)
    return True
