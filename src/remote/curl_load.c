#include "remote/curl_load.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#define LIBRARY "libcurl.so.4"

/* The real ones. */
static struct {
	CURLcode (*global_init)(long flags);
	CURL *(*easy_init)(void);
	void (*easy_cleanup)(CURL *easy);
	void (*easy_reset)(CURL *easy);
	CURLcode (*easy_setopt)(CURL *easy, CURLoption option, ...);
	CURLcode (*easy_getinfo)(CURL *easy, CURLINFO info, ...);
	const char *(*easy_strerror)(CURLcode code);
	CURLM *(*multi_init)(void);
	CURLMcode (*multi_cleanup)(CURLM *multi);
	CURLMcode (*multi_setopt)(CURLM *multi, CURLMoption option, ...);
	CURLMcode (*multi_add_handle)(CURLM *multi, CURL *easy);
	CURLMcode (*multi_remove_handle)(CURLM *multi, CURL *easy);
	CURLMcode (*multi_perform)(CURLM *multi, int *running);
	CURLMcode (*multi_poll)(CURLM *multi, struct curl_waitfd extra[],
	    unsigned count, int ms, int *ready);
	CURLMsg *(*multi_info_read)(CURLM *multi, int *left);
	struct curl_slist *(*slist_append)(
	    struct curl_slist *list, const char *text);
	void (*slist_free_all)(struct curl_slist *list);
} real;

#define PLACE(name) \
	{ \
		"curl_" #name, offsetof(__typeof__(real), name) \
	}

static const struct {
	const char *name;
	size_t at; /* in `real` */
} places[] = {
	PLACE(global_init),
	PLACE(easy_init),
	PLACE(easy_cleanup),
	PLACE(easy_reset),
	PLACE(easy_setopt),
	PLACE(easy_getinfo),
	PLACE(easy_strerror),
	PLACE(multi_init),
	PLACE(multi_cleanup),
	PLACE(multi_setopt),
	PLACE(multi_add_handle),
	PLACE(multi_remove_handle),
	PLACE(multi_perform),
	PLACE(multi_poll),
	PLACE(multi_info_read),
	PLACE(slist_append),
	PLACE(slist_free_all),
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct error trouble;

static void
load(void)
{
	void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

	for (size_t i = 0; library && i < sizeof(places) / sizeof(*places);
	     i++) {
		void *found = dlsym(library, places[i].name);

		if (!found)
			library = NULL;
		memcpy((char *)&real + places[i].at, &found, sizeof(found));
	}
	if (!library)
		error_set(&trouble, ERROR_SYSTEM,
		    "web servers and S3 need libcurl: %s", dlerror());
	else if (real.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		error_set(&trouble, ERROR_SYSTEM, "libcurl can't be set up");
}

int
curl_load(struct error *err)
{
	(void)pthread_once(&once, load);
	if (trouble.kind == ERROR_NONE)
		return 0;
	*err = trouble;
	return -1;
}

/* ---- by their usual names ---- */

#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt

/* Hand on the one argument, whose type is that of all options of its range. */
#define PASS_OPTION(function, handle, option) \
	va_list args; \
	va_start(args, option); \
	unsigned range = (unsigned)(option) / 10000 * 10000; \
	__typeof__(function(handle, option)) rc; \
\
	if (range == CURLOPTTYPE_LONG) \
		rc = function(handle, option, va_arg(args, long)); \
	else if (range == CURLOPTTYPE_OFF_T) \
		rc = function(handle, option, va_arg(args, curl_off_t)); \
	else if (range == CURLOPTTYPE_FUNCTIONPOINT) \
		rc = function(handle, option, va_arg(args, void (*)(void))); \
	else \
		rc = function(handle, option, va_arg(args, void *)); \
	va_end(args); \
	return rc

CURLcode
curl_easy_setopt(CURL *easy, CURLoption option, ...)
{
	PASS_OPTION(real.easy_setopt, easy, option);
}

CURLMcode
curl_multi_setopt(CURLM *multi, CURLMoption option, ...)
{
	PASS_OPTION(real.multi_setopt, multi, option);
}

CURLcode
curl_easy_getinfo(CURL *easy, CURLINFO info, ...)
{
	va_list args;
	CURLcode rc;

	va_start(args, info);
	rc = real.easy_getinfo(easy, info, va_arg(args, void *));
	va_end(args);
	return rc;
}

CURL *
curl_easy_init(void)
{
	return real.easy_init();
}

void
curl_easy_cleanup(CURL *easy)
{
	real.easy_cleanup(easy);
}

void
curl_easy_reset(CURL *easy)
{
	real.easy_reset(easy);
}

const char *
curl_easy_strerror(CURLcode code)
{
	return real.easy_strerror(code);
}

CURLM *
curl_multi_init(void)
{
	return real.multi_init();
}

CURLMcode
curl_multi_cleanup(CURLM *multi)
{
	return real.multi_cleanup(multi);
}

CURLMcode
curl_multi_add_handle(CURLM *multi, CURL *easy)
{
	return real.multi_add_handle(multi, easy);
}

CURLMcode
curl_multi_remove_handle(CURLM *multi, CURL *easy)
{
	return real.multi_remove_handle(multi, easy);
}

CURLMcode
curl_multi_perform(CURLM *multi, int *running)
{
	return real.multi_perform(multi, running);
}

CURLMcode
curl_multi_poll(CURLM *multi, struct curl_waitfd extra[], unsigned count,
    int ms, int *ready)
{
	return real.multi_poll(multi, extra, count, ms, ready);
}

CURLMsg *
curl_multi_info_read(CURLM *multi, int *left)
{
	return real.multi_info_read(multi, left);
}

struct curl_slist *
curl_slist_append(struct curl_slist *list, const char *text)
{
	return real.slist_append(list, text);
}

void
curl_slist_free_all(struct curl_slist *list)
{
	real.slist_free_all(list);
}
