#ifndef XML_H
#define XML_H

#include "base/stream.h"

/*
 * Answers in XML, as they come in, with expat. For each element that ends, `fn` gets
 * the names from the root down to it ("ListBucketResult/Contents/Key") and the text
 * directly in it; -1 with *err set ends the reading.
 *
 * What can be held is bounded: XML_DEPTH levels, XML_TEXT bytes of text in an element,
 * XML_MAX bytes in all. A document type, and with it entities, is refused. Commit: the
 * document is whole. All refusals are ERROR_CORRUPT.
 */
#define XML_DEPTH 16
#define XML_TEXT ((size_t)8 << 10)
#define XML_MAX ((size_t)16 << 20)

typedef int xml_fn(
    void *arg, const char *path, const char *text, struct error *err);

struct sink *sink_xml(xml_fn *fn, void *arg);

#endif
