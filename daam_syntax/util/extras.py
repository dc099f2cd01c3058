"""How to install the optional libraries."""

from __future__ import annotations


def install_hint(extra: str) -> str:
    """Return the command that installs an extra of this package, from a registry or from a checkout.

    Parameters
    ----------
    extra
        Name of the extra in ``pyproject.toml``, such as "cluster".
    """
    return f'pip install "daam-syntax[{extra}]" (in a checkout: pip install -c constraints.txt ".[{extra}]")'
