"""What drafts would have done: zones and campaigns over recorded pings, by the live code.

`feeding` makes batches of a recording and moves the clock with it, `run` lets the pipeline work
them off in a store that is thrown away, `summary` reads the answers from it, and `files` writes
them down. Nothing is rebuilt here, so nothing can differ: engine, gates and store are those of
every day, and the endpoints of a draft take no events.
"""

from geotarget.backtest.feeding import Fed
from geotarget.backtest.files import OUTPUTS, check_folder
from geotarget.backtest.run import Rehearsal, as_if_active, backtest, rehearsal, staged
from geotarget.backtest.summary import Answers, CampaignResult, Summary, ZoneResult

__all__ = [
    "OUTPUTS",
    "Answers",
    "CampaignResult",
    "Fed",
    "Rehearsal",
    "Summary",
    "ZoneResult",
    "as_if_active",
    "backtest",
    "check_folder",
    "rehearsal",
    "staged",
]
