#include "remote/xml.h"

#include <expat.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

#define NAME_MAX_BYTES 256 /* of one element */

struct xml_sink {
	struct sink base;
	xml_fn *fn;
	void *arg;
	XML_Parser parser;
	struct buf path, text;
	unsigned depth;
	size_t size;
	bool begun; /* there was more than space, with which servers buy time */
	struct error err; /* why the parser was stopped */
};

static void
refuse(struct xml_sink *sink, const char *what)
{
	if (sink->err.kind == ERROR_NONE)
		error_set(&sink->err, ERROR_CORRUPT, "the XML of the answer %s",
		    what);
	(void)XML_StopParser(sink->parser, XML_FALSE);
}

static void
start_element(void *arg, const char *name, const char **attributes)
{
	struct xml_sink *sink = arg;

	if (++sink->depth > XML_DEPTH || strlen(name) > NAME_MAX_BYTES) {
		refuse(sink, "is nested too deeply or has too long names");
		return;
	}
	buf_addf(&sink->path, "%s%s", sink->path.len ? "/" : "", name);
	buf_reset(&sink->text);
}

static void
end_element(void *arg, const char *name)
{
	struct xml_sink *sink = arg;
	size_t len = strlen(name);

	if (sink->err.kind != ERROR_NONE)
		return;
	if (sink->fn(sink->arg, sink->path.data, sink->text.data, &sink->err) <
	    0)
		(void)XML_StopParser(sink->parser, XML_FALSE);
	sink->depth--;
	sink->path.len -= len + (sink->depth > 0);
	sink->path.data[sink->path.len] = '\0';
	buf_reset(&sink->text);
}

static void
add_text(void *arg, const char *text, int len)
{
	struct xml_sink *sink = arg;

	if ((size_t)len > XML_TEXT - sink->text.len)
		refuse(sink, "has too long a text");
	else
		buf_add(&sink->text, text, (size_t)len);
}

static void
refuse_doctype(void *arg, const char *name, const char *system,
    const char *public, int internal)
{
	refuse(arg, "has a document type");
}

static void
start(struct xml_sink *sink)
{
	sink->parser = XML_ParserCreate("UTF-8");
	if (!sink->parser)
		mem_exhausted();
	XML_SetUserData(sink->parser, sink);
	XML_SetElementHandler(sink->parser, start_element, end_element);
	XML_SetCharacterDataHandler(sink->parser, add_text);
	XML_SetStartDoctypeDeclHandler(sink->parser, refuse_doctype);
	sink->depth = 0;
	sink->size = 0;
	sink->begun = false;
	sink->err = (struct error){ 0 };
	buf_reset(&sink->path);
	buf_reset(&sink->text);
}

static struct xml_sink *
xml_of(struct sink *base)
{
	return container_of(base, struct xml_sink, base);
}

static int
parse(struct xml_sink *sink, const void *data, size_t size, bool last,
    struct error *err)
{
	if (XML_Parse(sink->parser, data, (int)size, last) == XML_STATUS_OK &&
	    sink->err.kind == ERROR_NONE)
		return 0;
	if (sink->err.kind == ERROR_NONE)
		error_set(&sink->err, ERROR_CORRUPT,
		    "the XML of the answer is wrong in line %lu: %s",
		    (unsigned long)XML_GetCurrentLineNumber(sink->parser),
		    XML_ErrorString(XML_GetErrorCode(sink->parser)));
	*err = sink->err;
	return -1;
}

static int
xml_write(struct sink *base, const void *data, size_t size, struct error *err)
{
	struct xml_sink *sink = xml_of(base);
	const char *text = data;

	if (size > XML_MAX - sink->size)
		return error_set(err, ERROR_CORRUPT,
		    "the XML of the answer has more than %zu bytes", XML_MAX);
	sink->size += size;
	if (sink->begun)
		return parse(sink, data, size, false, err);
	while (size > 0 && memchr(" \t\r\n", *text, 4)) {
		text++;
		size--;
	}
	sink->begun = size > 0;
	return size > 0 ? parse(sink, text, size, false, err) : 0;
}

static int
xml_reset(struct sink *base, struct error *err)
{
	struct xml_sink *sink = xml_of(base);

	XML_ParserFree(sink->parser);
	start(sink);
	return 0;
}

static int
xml_commit(struct sink *base, struct error *err)
{
	return parse(xml_of(base), "", 0, true, err);
}

static void
xml_close(struct sink *base)
{
	struct xml_sink *sink = xml_of(base);

	XML_ParserFree(sink->parser);
	buf_release(&sink->path);
	buf_release(&sink->text);
	free(sink);
}

struct sink *
sink_xml(xml_fn *fn, void *arg)
{
	static const struct sink_ops ops = {
		.write = xml_write,
		.reset = xml_reset,
		.commit = xml_commit,
		.close = xml_close,
	};
	struct xml_sink *sink = xmalloc(sizeof(*sink));

	*sink = (struct xml_sink){ .base = { &ops },
		.fn = fn,
		.arg = arg,
		.path = BUF_INIT,
		.text = BUF_INIT };
	start(sink);
	return &sink->base;
}
