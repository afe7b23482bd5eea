tarn; echo "status $?"
tarn --version
tarn --help
tarn help read
tarn read --help | head -1
tarn nonsense; echo "status $?"
tarn help nonsense; echo "status $?"
tarn --nonsense; echo "status $?"
