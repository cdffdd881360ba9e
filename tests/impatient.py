"""The command line, which counts a silent process as lost after 3 seconds: ``python -m tests.impatient fit ...``."""

from wavelight.__main__ import main
from wavelight.training import attendance

if __name__ == "__main__":
    attendance._SILENT_TICKS = 12
    main()
