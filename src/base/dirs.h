#ifndef DIRS_H
#define DIRS_H

/* Where things are. Each result is the caller's to free. */

/* TARN_DIR, else $XDG_CACHE_HOME/tarn, else ~/.cache/tarn; NULL if none is known. */
char *dirs_tarn(void);

/* $XDG_CONFIG_HOME/tarn, else ~/.config/tarn; NULL if none is known. */
char *dirs_user_config(void);

/*
 * The project's root for `cwd`: TARN_ROOT, else the folder of the nearest
 * tarn.json upward, else of the nearest version control's (.git, .hg, .svn,
 * .jj), else `cwd`.
 */
char *dirs_root(const char *cwd);

#endif
