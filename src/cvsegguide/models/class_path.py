"""Classes from outside of the package, by their dotted paths."""

import importlib
import os
import sys
from typing import TypeVar

from cvsegguide.errors import ConfigurationError

Kind = TypeVar("Kind")


def import_class(path: str, base: type[Kind], parameter: str) -> type[Kind]:
    """The class ``package.module.Name``.

    Modules are looked for where Python looks for them, and then in the folder that the process was
    started in (which Python leaves out for a command such as ``cvsegguide``). That folder is then
    added to the end of ``sys.path``, so that processes that this one starts find the class, too.

    Args:
        path: The dotted path.
        base: What it has to be a sub-class of; nothing else is called.
        parameter: Python name of the parameter that says so, for messages.

    Raises:
        ConfigurationError: There is no such module or class, or it is no such sub-class.
    """
    module, _, name = path.rpartition(".")
    folder = os.getcwd()
    try:
        try:
            found = getattr(importlib.import_module(module), name)
        except ModuleNotFoundError:
            if folder in sys.path:
                raise
            sys.path.append(folder)
            found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(
            f"'{path}' cannot be imported ({error}); its file has to lie in {folder}, where the "
            "command is run, or in a folder of PYTHONPATH",
            parameter=parameter,
        ) from None
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ConfigurationError(f"'{path}' is no {base.__name__}", parameter=parameter)
    return found


def dotted_path(kind: type) -> str:
    """What :func:`import_class` finds a class by."""
    return f"{kind.__module__}.{kind.__qualname__}"
