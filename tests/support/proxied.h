#ifndef PROXIED_H
#define PROXIED_H

#include "locations/location.h"

/*
 * Have a remote leaf asked through tarnd, as tarn-exec does: a proxy stands in front
 * of it. What only the leaf itself can do, it does after all was uploaded: it is
 * listed then. tarnd gives up at once what is slow, and that may be the machine: who
 * was not asked for that reason is asked again.
 */
void proxied_set(
    struct location *leaf, const Tarn__Location *config, const char *tarn_dir);

/* End the tarnd of this folder; it need not run. */
void proxied_end(const char *tarn_dir);

#endif
