"""Functions of the user's own, named `module:function`."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

from polyglot_gateway.errors import SettingsError


def load_function(setting: str, name: str) -> Callable[..., Any]:
    """Import a function; a module in the working directory is found too.

    Args:
        setting: What names it, for the error.
        name: "module:function".

    Raises:
        SettingsError: There is no such function, or its module cannot be imported.
    """
    module, _, function = name.partition(":")
    if not (module and function):
        raise SettingsError(f"{setting}: {name!r}: must be module:function, such as my_service.events:process")
    if (here := os.getcwd()) not in sys.path:
        sys.path.append(here)
    try:
        found = getattr(importlib.import_module(module), function, None)
    except Exception as error:  # whatever the module's code raises
        raise SettingsError(f"{setting}: {name!r}: cannot import {module}: {error}") from error
    if not callable(found):
        raise SettingsError(f"{setting}: {name!r}: {module} has no function {function}")
    return found  # type: ignore[no-any-return]
