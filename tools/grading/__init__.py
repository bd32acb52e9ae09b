"""Grading submissions that may be broken, odd or hostile: see course/grading.md.

`wire`      plain values over a pipe: all that the two processes can say to each other
`student`   the process in which a submission runs; it knows neither tests nor points
`sandbox`   starts that process: another user, namespaces of its own, limits; kills what is left
`examiner`  the process that runs the tests and calls the submission's functions over the wire
`forbidden` looks in an answer for what its task forbids
`tags`      which cells are slow or the set-up, whatever a submission says
`alike`     which answers are alike, as a hint to read them
`repair`    makes what was handed in fit what was handed out, where it is clear how
`harmless`  lets nothing that a student wrote act in the browser of its reader
`collect`   finds the submissions in what Moodle, Canvas, GitHub or nbgrader give
`times`     when something was handed in, by the platform's list or a person's
`changes`   points that a person has set, with a reason
`record`    the gradebook, feedback, late days and the tables that Moodle and Canvas take
`final`     adds the exam and the solutions explained, and makes the mark of the course
"""
