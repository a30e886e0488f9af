"""Shows what a bench found: as text for a terminal, Markdown for docs/benchmarks.md, or JSON with
every sample. It judges nothing."""

import json

HEAD = ("row", "goal", "ours", "peer", "figure (interval)", "verdict")


class Line:
    """One row, measured or not: texts for people and the answer behind them."""

    def __init__(self, name, goal, kind, answer, mine="", other=""):
        self.name, self.goal, self.kind, self.answer = name, goal, kind, answer
        self.mine, self.other = mine, other

    def figure(self):
        answer = self.answer
        if answer.figure is None:
            return ""
        unit = " us" if self.kind == "difference" else ""
        sign = "+" if self.kind == "difference" else ""
        if self.kind == "once":
            return f"{answer.figure:.2f}"
        inside = f"{answer.low:{sign}.2f}, {answer.high:{sign}.2f}"
        return f"{answer.figure:{sign}.2f}{unit} ({inside})"

    def verdict(self):
        answer = self.answer
        floor = ""
        if answer.floor is not None and answer.verdict == "not resolved":
            floor = f" (noise floor {answer.floor * 100:.1f}%)" if self.kind == "ratio" \
                else f" (noise floor {answer.floor:.2f} us)"
        return answer.verdict + (f": {answer.why}" if answer.why else "") + floor

    def cells(self):
        said = (self.name, self.goal, self.mine, self.other, self.figure(), self.verdict())
        return tuple(" ".join(cell.split()) for cell in said)

    def as_dict(self):
        return {"row": self.name, "goal": self.goal, "kind": self.kind, "ours": self.mine,
                "peer": self.other, "shown": self.figure(), **self.answer.as_dict()}


def markdown(lines, notes):
    rows = ["| " + " | ".join(HEAD) + " |", "|---" * len(HEAD) + "|"]
    rows += ["| " + " | ".join(cell.replace("|", "/") for cell in line.cells()) + " |"
             for line in lines]
    return "\n".join(notes) + "\n\n" + "\n".join(rows) + "\n"


def text(lines, notes):
    table = [HEAD] + [line.cells() for line in lines]
    # The last column may be a sentence, and is not padded.
    widths = [max(len(row[at]) for row in table) for at in range(len(HEAD) - 1)]
    rows = ["  ".join([cell.ljust(width) for cell, width in zip(row, widths)] + [row[-1]])
            for row in table]
    return "\n".join(notes) + "\n\n" + "\n".join(row.rstrip() for row in rows) + "\n"


def as_json(lines, notes, samples):
    return json.dumps({"notes": notes, "rows": [line.as_dict() for line in lines],
                       "samples": samples}, indent=1) + "\n"
