#!/bin/sh
# Grade in a container: course/grade.sh ps1 ~/Downloads/ps1.zip --jobs 2   (also marks, export, …)
# The gradebook and all that belongs to it stay in grading/, or in the folder that GRADING names.
# SEED=2027 grades the variant that `make student SEED=2027` has handed out.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
grading=${GRADING:-$here/grading}
mkdir -p -m 700 "$grading"
docker build --quiet -f "$here/course/Dockerfile" -t transformers-grader "$here" >/dev/null

# The argument that is a file or folder here is shown to the container, read-only.
given=$#
while [ "$given" -gt 0 ]; do
    word=$1
    shift
    if [ -e "$word" ]; then
        full=$(cd "$(dirname "$word")" && pwd)/$(basename "$word")
        set -- "$@" "/in/$(basename "$word")"
        input=$full
    else
        set -- "$@" "$word"
    fi
    given=$((given - 1))
done
if [ -n "${input-}" ]; then
    name=$(basename "$input")
    set -- --volume "$input:/in/$name:ro" transformers-grader "$@"
else
    set -- transformers-grader "$@"
fi
# SYS_ADMIN is for making the namespaces; what runs in them has lost every capability.
exec docker run --rm --network none --memory 8g --pids-limit 1000 \
    --cap-add SYS_ADMIN --security-opt apparmor=unconfined --security-opt seccomp=unconfined \
    --env "SEED=${SEED-}" --volume "$grading:/grading" "$@"
