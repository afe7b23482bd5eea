#ifndef URL_H
#define URL_H

#include <stddef.h>

/*
 * The "user:password" of scheme://user:password@host[:port][/path]: where it begins,
 * and its length without the '@', if there is one; NULL: there is none. A password with a slash that
 * should have been %2F makes a URL that nobody understands, and that is shown in the
 * message about it: if what is before the first slash can't be host:port, then all
 * that is before the last '@' counts, or all there is.
 */
const char *url_user(const char *url, size_t *len);

/* The URL without that. The caller frees it. */
char *url_without_user(const char *url);

#endif
