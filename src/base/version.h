#ifndef VERSION_H
#define VERSION_H

/* What every program of tarn answers to --version. */
#define TARN_VERSION "0.1.0"

#endif
