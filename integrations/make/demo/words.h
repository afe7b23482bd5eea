#ifndef WORDS_H
#define WORDS_H

extern const char *const words[]; /* NULL at the end */

#endif
