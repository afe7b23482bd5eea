export TARN_DIR="$PWD/none"
tarn daemon; echo "status $?"
tarn daemon nonsense; echo "status $?"
tarn daemon --help
tarn daemon status; echo "status $?"
tarn daemon status --json; echo "status $?"
tarn daemon stop; echo "status $?"
tarn flush --help
tarn flush; echo "status $?"
tarn flush --deadline 5; echo "status $?"
mkdir -m 755 d d/daemon
TARN_DIR=$PWD/d tarn daemon start 2>&1 | sed "s|$PWD|.|"
