"""The words of a notebook's frame, by which the tools recognise its parts.

Whoever translates the series changes them in the notebooks and here; course/changing.md says how.
Write `wording.RECAP` where you need one, so that a change here reaches every place.
"""

# In the first cell, from top to bottom
TIME = "**Time**"
TO_READ, TO_RUN = "minutes to read", "to run"
BEFORE = "**Before this**"
GOALS = "You will"
OPTIONAL = "(optional, at the end)"  # at the end of a goal that is practised under CURIOUS
COLAB, DOWNLOAD = "Open in Colab", "Download"
PREVIOUS, NEXT = "Previous:", "Next:"

# Headings, and the words of an exercise
EXERCISES = "## Exercises"
QUIZ = "Quiz"  # **7.5 · Quiz.**
SOLUTION = "Solution"  # <details><summary>Solution</summary>
RECAP = "## Recap"
CURIOUS = "## For the curious"  # optional, after the recap
AND_NEXT = "**Next**"  # in the recap
