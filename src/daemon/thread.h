#ifndef THREAD_H
#define THREAD_H

#include <pthread.h>
#include <stdint.h>

/* Threads that nobody waits for, with signals blocked. 0, or -1: there is none. */
int thread_start(void *(*fn)(void *arg), void *arg);

/* For thread_wait(): until it is signalled, or a time of CLOCK_MONOTONIC. */
void thread_cond_init(pthread_cond_t *cond);
void thread_wait(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t until_us);

#endif
