"""How nbgrader makes, keeps and shows the problem sets. Run `nbgrader` in this folder.

Student versions come from `make release`, points from `make grade` (see grading.md). Submissions,
grades and the gradebook live in a folder of their own, `grading/` beside this one or whatever
GRADING names, which is only for the instructor.

nbgrader's own way of grading starts a kernel in which tests and answers share memory. Here `Apart`
takes its place: a submission runs in a process that knows none of the tests (tools/grading). So
`nbgrader autograde ps1` and formgrader's button are as safe as `make grade`.
"""

import os
import sys
from pathlib import Path

# The configuration is a module's text, run by nbgrader: get_config comes with it.
c = get_config()  # noqa: F821

ROOT = Path(os.environ.get("COURSE_ROOT", Path.cwd().parent)).resolve()
GRADING = Path(os.environ.get("GRADING", ROOT / "grading")).resolve()
GRADING.mkdir(parents=True, exist_ok=True, mode=0o700)
sys.path.insert(0, str(ROOT))

from tools.grading.record import Apart, Harmless, HideTests, sources  # noqa: E402
from tools.version import settle  # noqa: E402

settle()  # the version of the sets that belongs to this gradebook

c.CourseDirectory.course_id = "understanding-transformers"
c.CourseDirectory.root = str(GRADING)
c.CourseDirectory.source_directory = str(sources())
c.CourseDirectory.release_directory = str(ROOT / "build" / "release")

c.ClearSolutions.code_stub = {"python": "# Your code here\nraise NotImplementedError"}
c.ClearSolutions.text_stub = "*Your answer here.*"

c.Autograde.autograde_preprocessors = [
    Apart,
    "nbgrader.preprocessors.LimitOutput",
    "nbgrader.preprocessors.SaveAutoGrades",
    "nbgrader.preprocessors.CheckCellMetadata",
    Harmless,  # the last, because nbgrader compares answers with what was handed out
]
c.LimitOutput.max_lines = 200
c.LimitOutput.max_traceback = 40
c.GenerateFeedback.preprocessors = [
    HideTests,
    Harmless,
    "nbgrader.preprocessors.GetGrades",
    "nbconvert.preprocessors.CSSHTMLHeaderPreprocessor",
]
