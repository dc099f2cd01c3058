from .planning import plan as plan
from .reporting import report as report
from .running import run as run
from .stored_run import Run as Run
from .stored_run import open_run as open_run
