#!/bin/sh
# Grade in a container: course/grade.sh ps1 ~/Downloads/ps1.zip   (also marks, feedback ps1, …)
# The gradebook and all that belongs to it stay in grading/, or in the folder that GRADING names.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
grading=${GRADING:-$here/grading}
mkdir -p -m 700 "$grading"
docker build --quiet -f "$here/course/Dockerfile" -t transformers-grader "$here" >/dev/null

# The last argument is a file or folder of this machine, if there is one of that name.
mount=
for last in "$@"; do :; done
if [ -e "$last" ]; then
    full=$(cd "$(dirname "$last")" && pwd)/$(basename "$last")
    mount="--volume=$full:/in/$(basename "$last"):ro"
    count=$#
    while [ "$count" -gt 1 ]; do
        set -- "$@" "$1"
        shift
        count=$((count - 1))
    done
    shift
    set -- "$@" "/in/$(basename "$last")"
fi
# SYS_ADMIN is for making the namespaces; what runs in them has lost every capability.
exec docker run --rm --network none --memory 8g --pids-limit 1000 \
    --cap-add SYS_ADMIN --security-opt apparmor=unconfined --security-opt seccomp=unconfined \
    --env COURSE_SOURCE --volume "$grading:/grading" ${mount:+"$mount"} transformers-grader "$@"
