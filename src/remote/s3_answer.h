#ifndef S3_ANSWER_H
#define S3_ANSWER_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/buf.h"
#include "base/stream.h"

/*
 * What servers that speak S3 say, taken out of their XML. Each of these is filled by
 * its sink, which is committed at the end; sink_reset() empties it again.
 */

/* <Error>. A code is letters and digits; anything else is left out. */
struct s3_error {
	char code[64];
	char
	    region[64]; /* where the bucket is, if that is the trouble; or "" */
};

/* The beginning of a refusal: as far as it can be understood. */
void s3_error_parse(struct s3_error *error, const char *data, size_t size);

/* A page of a list. */
#define S3_PAGE 1000 /* entries, at most */

struct s3_object {
	char *key;    /* as it is */
	char *upload; /* of an unfinished upload: its id; else NULL */
	uint64_t size;
	time_t modified; /* or begun */
};
struct s3_page {
	struct s3_object object[S3_PAGE];
	size_t count;
	bool more;
	char *next;        /* where the next page begins; NULL: nobody said */
	char *next_upload; /* the same, of uploads */
	struct s3_object entry; /* private: the one that is coming in */
};

struct s3_page *s3_page_new(void);
void s3_page_free(struct s3_page *page); /* NULL is fine */
struct sink *sink_s3_page(struct s3_page *page);

/* An upload that was begun, or has come to its end. */
struct s3_upload {
	char *id;              /* NULL: none */
	bool done;             /* a CompleteMultipartUploadResult */
	struct s3_error error; /* which may come with a status of 200 */
};
struct sink *sink_s3_upload(struct s3_upload *upload);
void s3_upload_release(struct s3_upload *upload);

/* Tags of an object: "Key" and "Value" one after the other. */
#define S3_TAGS 64 /* more than any server lets an object have */

struct s3_tags {
	char *key[S3_TAGS], *value[S3_TAGS];
	size_t count;
	char *coming_key, *coming_value; /* private */
};
struct sink *sink_s3_tags(struct s3_tags *tags);
const char *s3_tags_get(const struct s3_tags *tags, const char *key);
void s3_tags_set(struct s3_tags *tags, const char *key, const char *value);
void s3_tags_format(const struct s3_tags *tags, struct buf *to);
void s3_tags_release(struct s3_tags *tags);

/* What a request to delete many could not delete. */
struct s3_deleted {
	size_t failed;
	struct s3_error first;
};
struct sink *sink_s3_deleted(struct s3_deleted *deleted);

/* Append with what XML has words of its own for, and without what it can't have. */
void s3_xml_text(struct buf *to, const char *text);

#endif
