#ifndef LIBRARY_H
#define LIBRARY_H

#include "base/error.h"

/*
 * The accelerator as a file: it rides inside tarn-exec and is put down in
 * $TARN_DIR/lib, whole and checked byte by byte, where the dynamic linker can
 * load it. Returns its path, the caller's to free; NULL with *err set if there
 * can be none (a file system that runs nothing, say).
 */
char *library_path(const char *tarn_dir, struct error *err);

/* Can it go into this program: x86-64, dynamically linked? */
int library_fits(const char *program);

#endif
