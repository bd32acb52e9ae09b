#!/bin/sh
# Grade in a container: course/grade.sh ps1 ~/Downloads/ps1.zip --jobs 2   (also marks, export, …)
# The gradebook and all that belongs to it stay in grading/, or in the folder that GRADING names.
# The seed and variants of the release are known from grading/released.json. If it is not there,
# SEED=2027, ALL=1 and VARIANTS=~/mine.py say them.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
grading=${GRADING:-$here/grading}
mkdir -p -m 700 "$grading"
grading=$(cd "$grading" && pwd)
docker build --quiet -f "$here/course/Dockerfile" -t transformers-grader "$here" >/dev/null

# The argument that is a file or folder here is shown to the container, read-only. For export and
# marks, tables are copied to the gradebook's folder, where the table that was filled in will be, too.
what=${1-}
[ $# -eq 0 ] || shift
given=$#
while [ "$given" -gt 0 ]; do
    word=$1
    shift
    name=$(basename -- "$word")
    if [ ! -e "$word" ]; then
        set -- "$@" "$word"
        given=$((given - 1))
        continue
    fi
    full=$(cd "$(dirname -- "$word")" && pwd)/$name
    if [ "$what" = export ] || [ "$what" = marks ]; then
        [ "$full" = "$grading/$name" ] || cp -- "$word" "$grading/"
        set -- "$@" "/grading/$name"
    else
        set -- "$@" "/in/$name"
        input=$full
    fi
    given=$((given - 1))
done
set -- transformers-grader "$what" "$@"
if [ -n "${input-}" ]; then
    set -- --volume "$input:/in/$(basename -- "$input"):ro" "$@"
fi
if [ -n "${VARIANTS-}" ]; then
    own=$(cd "$(dirname -- "$VARIANTS")" && pwd)/$(basename -- "$VARIANTS")
    set -- --volume "$own:/variants.py:ro" --env VARIANTS=/variants.py "$@"
fi
echo "In what follows, /grading is $grading."
# SYS_ADMIN is for making the namespaces; what runs in them has lost every capability.
exec docker run --rm --network none --memory 8g --pids-limit 1000 \
    --cap-add SYS_ADMIN --security-opt apparmor=unconfined --security-opt seccomp=unconfined \
    --env "SEED=${SEED-}" --env "ALL=${ALL-}" --volume "$grading:/grading" "$@"
