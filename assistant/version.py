"""The version, as told to clients."""

from vlbm import __version__

SERVER = f"vlbm-assistant/{__version__}"
