#!/bin/sh
# What the container of grade.sh runs: the grader, as root, so that submissions can be other users.
set -u
if [ -n "${SEED-}${VARIANTS-}" ]; then
    SEED=${SEED:-0}
    python -m tools.variants "$SEED" ${ALL:+--all} ${VARIANTS:+--variants "$VARIANTS"} >/dev/null || exit
    export COURSE_SOURCE="/grader/build/source-$SEED"
fi
python -m tools.grade "$@"
status=$?
# Whoever owns the folder outside owns what has been written into it, not root.
chown -R --reference="$GRADING" "$GRADING"
exit $status
