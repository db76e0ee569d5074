"""``python -m geotarget`` is the same as ``geotarget``."""

from geotarget.cli import main

if __name__ == "__main__":
    main()
