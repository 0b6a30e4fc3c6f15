"""The list of the methods that train several tasks: a new one is a file of this folder, and a line of `METHODS`.

`--tasks`, its help and its errors follow. An entry has the defaults of the command line; Python takes any `TaskMethod`.
"""

from text_uda.tasks.alternate import Alternate
from text_uda.tasks.joint import Joint
from text_uda.tasks.method import TaskMethod
from text_uda.tasks.pooled import Pooled

METHODS: dict[str, TaskMethod] = {
    "joint": Joint(),
    "uncertainty": Joint(weights="uncertainty"),
    "pcgrad": Joint(weights="pcgrad"),
    "alternate": Alternate(),
    "pooled": Pooled(),
}
"""By name of `--tasks`."""
