"""What is made of the measured values: medians, intervals, noise floors, verdicts. No process and
no file; `test_peers.py` holds each against cases that can be worked out by hand."""

import math
import statistics

LEVEL = 0.95
# Five rounds, the fewest that a verdict may stand on, have an interval of 94%.
VERDICT_LEVEL_MIN = 0.9


def interval(values):
    """The interval of the median by order statistics (the sign test turned round), and how sure it
    is. It assumes nothing about the shape of the noise. Below six values the widest there is, from
    the lowest to the highest, is less sure than 95%, and says so by its second result."""
    ordered, count = sorted(values), len(values)
    below, drop = 0.0, 0
    # Dropping k values at each end leaves 1 - 2 P(at most k heads of n).
    for k in range((count - 1) // 2):
        below += math.comb(count, k) / 2 ** count
        if 1 - 2 * below < LEVEL:
            break
        drop = k
    outside = sum(math.comb(count, k) for k in range(drop + 1)) / 2 ** count
    return (ordered[drop], ordered[count - 1 - drop]), max(0.0, 1 - 2 * outside)


class OutgoingResponse:
    """What one row says: the figure with its interval and the verdict."""

    def __init__(self, verdict, why="", figure=None, low=None, high=None, floor=None, rounds=0):
        self.verdict, self.why, self.rounds = verdict, why, rounds
        self.figure, self.low, self.high, self.floor = figure, low, high, floor

    def as_dict(self):
        return dict(self.__dict__)


def not_measured(why):
    return OutgoingResponse("not measured", why)


def failed(why):
    return OutgoingResponse("failed", why)


def _place(kind, value):
    """Ratios are compared by their logarithm, differences as they are."""
    return math.log(value) if kind == "ratio" else value


def noise_floor(kind, first, second):
    """How far two measurements of the same thing lie apart: the larger end of the interval of
    their paired ratio (as |log|) or difference. None without a pair."""
    if len(first) != len(second) or len(first) < 2:
        return None
    pairs = zip(first, second)
    if kind == "ratio":
        apart = [math.log(a / b) for a, b in pairs]
    else:
        apart = [a - b for a, b in pairs]
    (low, high), _ = interval(apart)
    return max(abs(low), abs(high))


def judge(kind, values, bound, sense, floor):
    """Holds a row's paired values against its goal. A figure counts as reached or not only when
    its whole interval is on one side and its median is further away than the noise floor."""
    if not values:
        return not_measured("no round was complete")
    (low, high), sure = interval(values)
    middle = statistics.median(values)
    shown = None if floor is None else (math.expm1(floor) if kind == "ratio" else floor)
    answer = OutgoingResponse("", "", middle, low, high, shown, len(values))
    if bound is None:
        answer.verdict = "no goal"
        return answer
    better = (lambda a, b: a <= b) if sense == "at most" else (lambda a, b: a >= b)
    distance = abs(_place(kind, middle) - _place(kind, bound)) if middle > 0 or kind != "ratio" \
        else math.inf
    side = "looks reached" if better(middle, bound) else "looks not reached"
    if sure < VERDICT_LEVEL_MIN or floor is None:
        few = f"{side}, but {len(values)} rounds are too few"
        answer.verdict, answer.why = "not resolved", few
    elif better(low, bound) != better(high, bound):
        inside = f"{side}, but the goal is within the interval"
        answer.verdict, answer.why = "not resolved", inside
    elif distance < floor:
        near = f"{side}, but nearer to the goal than the noise"
        answer.verdict, answer.why = "not resolved", near
    else:
        answer.verdict = "reached" if better(middle, bound) else "not reached"
    return answer


def judge_once(figure, bound, sense, low=None, high=None):
    """The same for a figure that is no pair: a size, or another bench's own estimate."""
    answer = OutgoingResponse("", "", figure, figure if low is None else low,
                    figure if high is None else high, None, 1)
    good = figure <= bound if sense == "at most" else figure >= bound
    straddles = answer.low <= bound <= answer.high and answer.low < answer.high
    answer.verdict = "not resolved" if straddles else "reached" if good else "not reached"
    answer.why = "the goal is within the interval" if straddles else ""
    return answer
