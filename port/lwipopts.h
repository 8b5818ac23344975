/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The adit authors
 *
 * What adit asks of lwIP 2.2.1, by part. lwIP does TCP, ARP and neighbour discovery here; echo, datagrams, fragments and
 * ICMP errors are src/stack's, which sees every packet first.
 */
#ifndef ADIT_LWIPOPTS_H
#define ADIT_LWIPOPTS_H

/* ---- system: no operating system, no threads, no sockets; whoever owns a stack calls the raw API ---- */
#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_NETCONN 0
#define LWIP_SOCKET 0
#define LWIP_TIMERS 0 /* src/stack/timer.c calls the timer functions, only while somebody needs them */
#define LWIP_STATS 0
#define LWIP_HOOK_FILENAME "hooks.h"

/* ---- memory: everything comes from port/memory.c, which counts it against the budget of the stack ---- */
#define MEM_CUSTOM_ALLOCATOR 1
#define MEM_CUSTOM_MALLOC adit_port_malloc
#define MEM_CUSTOM_CALLOC adit_port_calloc
#define MEM_CUSTOM_FREE adit_port_free
#define MEMP_MEM_MALLOC 1
#define MEM_ALIGNMENT 8
#define LWIP_SUPPORT_CUSTOM_PBUF 1
#define PBUF_POOL_BUFSIZE 1600 /* unused: received packets are custom pbufs */
#define PBUF_LINK_HLEN 16      /* the Ethernet header, padded so that what follows stays aligned */
#define ETH_PAD_SIZE 0

/* ---- IP: packets are parsed, verified and reassembled before lwIP sees them; TCP is never fragmented ---- */
#define LWIP_IPV4 1
#define LWIP_IPV6 1
#define IP_FORWARD 0
#define IP_DEFAULT_TTL 64 /* as everything else that leaves here */
#define IP_REASSEMBLY 0
#define IP_FRAG 0
#define LWIP_IPV6_REASS 0
#define LWIP_IPV6_FRAG 0
#define LWIP_IPV6_NUM_ADDRESSES 3
#define LWIP_IPV6_SCOPES 0 /* one netif: nothing to tell apart */
#define LWIP_IPV6_FORWARD 0
#define LWIP_IPV6_DHCP6 0
#define LWIP_IPV6_AUTOCONFIG 0
#define LWIP_IPV6_SEND_ROUTER_SOLICIT 0
#define LWIP_IPV6_DUP_DETECT_ATTEMPTS 0 /* the addresses are ours by configuration */
#define LWIP_ND6_ALLOW_RA_UPDATES 0     /* router advertisements change nothing */
#define LWIP_ND6_TCP_REACHABILITY_HINTS 1
#define LWIP_ND6_QUEUEING 1
#define MEMP_NUM_ND6_QUEUE 128 /* as ARP_QUEUE_LEN, but for all neighbours together */
#define LWIP_ND6_NUM_NEIGHBORS 120
#define LWIP_ND6_NUM_DESTINATIONS 120
#define LWIP_IPV6_MLD 0
#define LWIP_IGMP 0
#define LWIP_DHCP 0
#define LWIP_AUTOIP 0
#define LWIP_ACD 0
#define LWIP_DNS 0
#define LWIP_ICMP 0
#define LWIP_ICMP6 1 /* neighbour discovery */
#define LWIP_RAW 0
#define LWIP_UDP 0

/* ---- Ethernet (TAP) ---- */
#define LWIP_ARP 1
#define LWIP_ETHERNET 1
#define ARP_QUEUEING 1
#define ARP_QUEUE_LEN 128    /* packets for one neighbour: all fragments of the largest datagram at an MTU of 576 */
#define PBUF_NEEDS_COPY(p) 1 /* what waits for a neighbour may outlive the data that a flow has lent */
#define ARP_TABLE_SIZE 120
#define ETHARP_SUPPORT_STATIC_ENTRIES 0

/* ---- TCP ---- */
#define LWIP_TCP 1
#define LWIP_WND_SCALE 1
#define TCP_RCV_SCALE 9 /* windows of up to 32 MiB in steps of 512 bytes */
#define TCP_MSS 65495   /* no bound of its own: the MTU decides */
#define TCP_CALCULATE_EFF_SEND_MSS 1
#define TCP_WND adit_port_window()          /* of this stack (adit_stack_options.window_bytes) */
#define TCP_SND_BUF adit_port_send_buffer() /* of this stack (adit_stack_options.send_bytes) */
#define TCP_SND_QUEUELEN 0xfff0             /* pbufs; the bound that counts is bytes */
#define TCP_SNDLOWAT 1                      /* unused: src/stack watches the room itself */
#define TCP_SNDQUEUELOWAT 1
#define TCP_WND_UPDATE_THRESHOLD adit_port_window_update()
#define LWIP_DISABLE_TCP_SANITY_CHECKS 1 /* the preprocessor cannot compare the two above; adit_stack_new does */
#define TCP_OVERSIZE 0                   /* data is lent, not copied: there is nothing to append to */
#define TCP_QUEUE_OOSEQ 1
#define TCP_OOSEQ_PBUFS_LIMIT(pcb)                                                                                     \
  adit_port_out_of_order()   /* so that tiny segments do not cost many times the window */
#define TCP_LISTEN_BACKLOG 0 /* the parked SYNs in src/stack/syn.c are the backlog */
#define LWIP_TCP_KEEPALIVE 1
#define LWIP_TCP_TIMESTAMPS 0
#define LWIP_TCP_SACK_OUT 1
#define LWIP_TCP_MAX_SACK_NUM 4
#define LWIP_TCP_PCB_NUM_EXT_ARGS 2 /* the flow, whose life is tied to that of its pcb; the path's MSS */
#define TCP_TMR_INTERVAL 50         /* ms; the slow timer ticks at twice that, the granularity of the RTO */
#define LWIP_TCP_RTO_TIME 1000      /* RFC 6298 2.1 */
#define TCP_MSL 30000UL             /* TIME-WAIT of 60 s, as long as Linux keeps it */
#define TCP_MAXRTX 12               /* the length of lwIP's table of back-offs */
#define TCP_SYNMAXRTX 6

/* ---- httpd: content comes from src/stack/httpd.c ---- */
#define LWIP_ALTCP 0
#define LWIP_HTTPD_CGI 0
#define LWIP_HTTPD_SSI 0
#define LWIP_HTTPD_CUSTOM_FILES 1
#define LWIP_HTTPD_DYNAMIC_FILE_READ 1
#define LWIP_HTTPD_DYNAMIC_HEADERS 0
#define LWIP_HTTPD_SUPPORT_V09 0 /* it would look for the header in the file's memory, of which ours have none */
#define LWIP_HTTPD_FILE_EXTENSION 1
#define HTTPD_FSDATA_FILE "httpd_fsdata.h"
#define HTTPD_MAX_RETRIES 240 /* polls, one in four slow ticks, so 96 s, without any progress */
#define HTTPD_LIMIT_SENDING_TO_2MSS 0
/* Whole multiples of the MSS, as long as a segment may be: what is left over would go out as a small one each time. */
#define HTTPD_MAX_WRITE_LEN(pcb) (LWIP_MAX((65535 - 114) / tcp_mss(pcb), 1) * tcp_mss(pcb))

/* ---- checksums: verified before lwIP sees a packet, made by src/stack or by whoever takes the packet ---- */
#define CHECKSUM_CHECK_IP 0
#define CHECKSUM_CHECK_TCP 0
#define CHECKSUM_CHECK_ICMP6 0
#define CHECKSUM_GEN_TCP 0
#define CHECKSUM_GEN_IP 0 /* likewise, once the identification is known */

/* ---- netif ---- */
#define LWIP_SINGLE_NETIF 1
#define LWIP_HAVE_LOOPIF 0
#define LWIP_NETIF_LOOPBACK 0

#include "port_values.h"

#endif
