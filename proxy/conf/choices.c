/* The words that keys take: a choice is one row here, and the key that takes it one in fields.c.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/conf/choices.h"
#include "base/log.h"
#include "proxy/conf/config.h"
#include "proxy/http/head.h"
#include "proxy/http/rewrite.h"

const struct config_choice config_tls_versions[] = {
    {"1.2", CONFIG_TLS_1_2, false}, {"1.3", CONFIG_TLS_1_3, false}, {0}};
const struct config_choice config_client_certificates[] = {
    {"required", CLIENT_CERTIFICATE_REQUIRED, false},
    {"optional", CLIENT_CERTIFICATE_OPTIONAL, false},
    {0}};
const struct config_choice config_log_levels[] = {{"error", LOG_ERROR, false},
                                                  {"warn", LOG_WARN, false},
                                                  {"info", LOG_INFO, false},
                                                  {"debug", LOG_DEBUG, false},
                                                  {0}};
const struct config_choice config_log_formats[] = {
    {"text", LOG_FORMAT_TEXT, false}, {"json", LOG_FORMAT_JSON, false}, {0}};
const struct config_choice config_access_formats[] = {{"off", ACCESS_OFF, false},
                                                      {"combined", ACCESS_COMBINED, false},
                                                      {"json", ACCESS_JSON, false},
                                                      {0}};
const struct config_choice config_balances[] = {{"least_requests", BALANCE_LEAST_REQUESTS, false},
                                                {"round_robin", BALANCE_ROUND_ROBIN, false},
                                                {"hash", BALANCE_HASH, false},
                                                {0}};
const struct config_choice config_stickies[] = {{"none", STICKY_NONE, false},
                                                {"cookie", STICKY_COOKIE, false},
                                                {"header", STICKY_HEADER, false},
                                                {"client_ip", STICKY_CLIENT_IP, false},
                                                {0}};
const struct config_choice config_retry_causes[] = {
    {"connect", RETRY_CONNECT, false}, {"reset", RETRY_RESET, false}, {"502", RETRY_502, false},
    {"503", RETRY_503, false},         {"504", RETRY_504, false},     {0}};
const struct config_choice config_retry_targets[] = {{"same", 0, false}, {"stable", 1, false}, {0}};
const struct config_choice config_methods[] = {
    {"GET", 1u << METHOD_GET, false},       {"HEAD", 1u << METHOD_HEAD, false},
    {"POST", 1u << METHOD_POST, false},     {"PUT", 1u << METHOD_PUT, false},
    {"DELETE", 1u << METHOD_DELETE, false}, {"OPTIONS", 1u << METHOD_OPTIONS, false},
    {"PATCH", 1u << METHOD_PATCH, false},   {0}};
/* The idempotent ones (RFC 9110 section 9.2.2). */
const struct config_choice config_mirror_methods[] = {
    {"GET", 1u << METHOD_GET, false},         {"HEAD", 1u << METHOD_HEAD, false},
    {"OPTIONS", 1u << METHOD_OPTIONS, false}, {"PUT", 1u << METHOD_PUT, false},
    {"DELETE", 1u << METHOD_DELETE, false},   {0}};
const struct config_choice config_forwardings[] = {{"x", FORWARDED_X, false},
                                                   {"rfc7239", FORWARDED_RFC7239, false},
                                                   {"both", FORWARDED_BOTH, false},
                                                   {"off", FORWARDED_OFF, false},
                                                   {0}};
const struct config_choice config_starts[] = {{"manual", 0, false}, {"auto", 1, false}, {0}};
const struct config_choice config_low_evidences[] = {{"advance", LOW_EVIDENCE_ADVANCE, false},
                                                     {"hold", LOW_EVIDENCE_HOLD, false},
                                                     {"pause", LOW_EVIDENCE_PAUSE, false},
                                                     {"abort", LOW_EVIDENCE_ABORT, false},
                                                     {0}};
const struct config_choice config_failures[] = {
    {"abort", ON_FAILURE_ABORT, false}, {"pause", ON_FAILURE_PAUSE, false}, {0}};
const struct config_choice config_new_versions[] = {
    {"restart", ON_NEW_VERSION_RESTART, false}, {"refuse", ON_NEW_VERSION_REFUSE, false}, {0}};
const struct config_choice config_replica_modes[] = {
    {"none", PLAN_REPLICAS_NONE, false},
    {"match_weight", PLAN_REPLICAS_MATCH_WEIGHT, false},
    {"capacity", PLAN_REPLICAS_CAPACITY, false},
    {"coupled", PLAN_REPLICAS_COUPLED, false},
    {0}};
const struct config_choice config_cleanups[] = {
    {"preserve", CLEANUP_PRESERVE, false}, {"delete", CLEANUP_DELETE, false}, {0}};
const struct config_choice config_gate_moments[] = {{"before_start", GATE_BEFORE_START, false},
                                                    {"before_step", GATE_BEFORE_STEP, false},
                                                    {"before_promote", GATE_BEFORE_PROMOTE, false},
                                                    {"after_end", GATE_AFTER_END, false},
                                                    {"event", GATE_EVENT, false},
                                                    {0}};
const struct config_choice config_weekdays[] = {
    {"mon", 1, false},  {"tue", 2, false},  {"wed", 4, false},  {"thu", 8, false},
    {"fri", 16, false}, {"sat", 32, false}, {"sun", 64, false}, {0}};
