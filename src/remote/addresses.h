#ifndef ADDRESSES_H
#define ADDRESSES_H

#include <netdb.h>
#include <stdint.h>

/*
 * The addresses of a host, for TCP, as getaddrinfo() has them, but that it ends in
 * time: at `end_us` of CLOCK_MONOTONIC, whatever signals come. NULL, and *rc is an
 * EAI_ number: EAI_INPROGRESS if the time was over. Free with freeaddrinfo().
 */
struct addrinfo *addresses_find(
    const char *host, uint16_t port, int64_t end_us, int *rc);

#endif
