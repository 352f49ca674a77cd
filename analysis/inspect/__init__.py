"""Is there a grid in these images? A room for what somebody has already made: folders of outputs, of any size.

`procedure` leads; `sources` hands it images, `residuals` and `maps` make one field of all of them, `orders` and
`components` search it for periods, `strengths` measures what was found, `compression`, `variances` and `seams` know
what only resembles a grid, and `inspection` is the answer. May import the rest of `analysis` and `toolkit`.
"""

from checkerscope.analysis.inspect.inspection import Grid as Grid
from checkerscope.analysis.inspect.inspection import ImageStrength as ImageStrength
from checkerscope.analysis.inspect.inspection import Inspection as Inspection
from checkerscope.analysis.inspect.procedure import inspect as inspect
