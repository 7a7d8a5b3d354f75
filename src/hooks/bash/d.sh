echo "$0 $*"
