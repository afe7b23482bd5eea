#ifndef CURL_LOAD_H
#define CURL_LOAD_H

#include "base/error.h"

/*
 * libcurl, with all that it needs in turn: half as much again as the rest of tarn
 * takes to start, for those few runs that speak to a web server. So it is not linked
 * but loaded with the first request. What http.c calls of it are functions here, with
 * their usual names and types, that go on to the real ones.
 *
 * 0, or -1: it isn't installed. Nothing of it may be called before. Any thread may ask.
 */
int curl_load(struct error *err);

#endif
