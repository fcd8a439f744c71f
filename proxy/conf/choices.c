/* The words that keys take: a choice is one row here, and the key that takes it one in fields.c.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/conf/choices.h"
#include "base/log.h"
#include "proxy/conf/config.h"
#include "proxy/http/head.h"
#include "proxy/http/rewrite.h"
#include "rollout/notify/kinds.h"

const struct config_choice config_tls_versions[] = {
    {"1.2", CONFIG_TLS_1_2}, {"1.3", CONFIG_TLS_1_3}, {0}};
const struct config_choice config_client_certificates[] = {
    {"required", CLIENT_CERTIFICATE_REQUIRED}, {"optional", CLIENT_CERTIFICATE_OPTIONAL}, {0}};
const struct config_choice config_log_levels[] = {
    {"error", LOG_ERROR}, {"warn", LOG_WARN}, {"info", LOG_INFO}, {"debug", LOG_DEBUG}, {0}};
const struct config_choice config_log_formats[] = {
    {"text", LOG_FORMAT_TEXT}, {"json", LOG_FORMAT_JSON}, {0}};
const struct config_choice config_access_formats[] = {
    {"off", ACCESS_OFF}, {"combined", ACCESS_COMBINED}, {"json", ACCESS_JSON}, {0}};
const struct config_choice config_balances[] = {{"least_requests", BALANCE_LEAST_REQUESTS},
                                                {"round_robin", BALANCE_ROUND_ROBIN},
                                                {"hash", BALANCE_HASH},
                                                {0}};
const struct config_choice config_stickies[] = {{"none", STICKY_NONE},
                                                {"cookie", STICKY_COOKIE},
                                                {"header", STICKY_HEADER},
                                                {"client_ip", STICKY_CLIENT_IP},
                                                {0}};
const struct config_choice config_retry_causes[] = {
    {"connect", RETRY_CONNECT}, {"reset", RETRY_RESET}, {"502", RETRY_502},
    {"503", RETRY_503},         {"504", RETRY_504},     {0}};
const struct config_choice config_retry_targets[] = {{"same", 0}, {"stable", 1}, {0}};
const struct config_choice config_methods[] = {
    {"GET", 1u << METHOD_GET},       {"HEAD", 1u << METHOD_HEAD},
    {"POST", 1u << METHOD_POST},     {"PUT", 1u << METHOD_PUT},
    {"DELETE", 1u << METHOD_DELETE}, {"OPTIONS", 1u << METHOD_OPTIONS},
    {"PATCH", 1u << METHOD_PATCH},   {0}};
/* The idempotent ones (RFC 9110 section 9.2.2). */
const struct config_choice config_mirror_methods[] = {
    {"GET", 1u << METHOD_GET}, {"HEAD", 1u << METHOD_HEAD},     {"OPTIONS", 1u << METHOD_OPTIONS},
    {"PUT", 1u << METHOD_PUT}, {"DELETE", 1u << METHOD_DELETE}, {0}};
const struct config_choice config_forwardings[] = {{"x", FORWARDED_X},
                                                   {"rfc7239", FORWARDED_RFC7239},
                                                   {"both", FORWARDED_BOTH},
                                                   {"off", FORWARDED_OFF},
                                                   {0}};
const struct config_choice config_starts[] = {{"manual", 0}, {"auto", 1}, {0}};
const struct config_choice config_low_evidences[] = {{"advance", LOW_EVIDENCE_ADVANCE},
                                                     {"hold", LOW_EVIDENCE_HOLD},
                                                     {"pause", LOW_EVIDENCE_PAUSE},
                                                     {"abort", LOW_EVIDENCE_ABORT},
                                                     {0}};
const struct config_choice config_failures[] = {
    {"abort", ON_FAILURE_ABORT}, {"pause", ON_FAILURE_PAUSE}, {0}};
const struct config_choice config_new_versions[] = {
    {"restart", ON_NEW_VERSION_RESTART}, {"refuse", ON_NEW_VERSION_REFUSE}, {0}};
const struct config_choice config_replica_modes[] = {{"none", PLAN_REPLICAS_NONE},
                                                     {"match_weight", PLAN_REPLICAS_MATCH_WEIGHT},
                                                     {"capacity", PLAN_REPLICAS_CAPACITY},
                                                     {"coupled", PLAN_REPLICAS_COUPLED},
                                                     {0}};
const struct config_choice config_cleanups[] = {
    {"preserve", CLEANUP_PRESERVE}, {"delete", CLEANUP_DELETE}, {0}};
const struct config_choice config_gate_moments[] = {{"before_start", GATE_BEFORE_START},
                                                    {"before_step", GATE_BEFORE_STEP},
                                                    {"before_promote", GATE_BEFORE_PROMOTE},
                                                    {"after_end", GATE_AFTER_END},
                                                    {"event", GATE_EVENT},
                                                    {0}};
const struct config_choice config_weekdays[] = {{"mon", 1},  {"tue", 2},  {"wed", 4},  {"thu", 8},
                                                {"fri", 16}, {"sat", 32}, {"sun", 64}, {0}};
const struct config_choice config_notify_formats[] = {{"generic", NOTIFY_GENERIC},
                                                      {"slack", NOTIFY_SLACK},
                                                      {"alertmanager", NOTIFY_ALERTMANAGER},
                                                      {0}};
const struct config_choice config_notify_kinds[] = {
    {"started", NOTIFY_STARTED},   {"step", NOTIFY_STEP},           {"judged", NOTIFY_JUDGED},
    {"weight", NOTIFY_WEIGHT},     {"held", NOTIFY_HELD},           {"paused", NOTIFY_PAUSED},
    {"resumed", NOTIFY_RESUMED},   {"failed", NOTIFY_FAILED},       {"aborted", NOTIFY_ABORTED},
    {"restored", NOTIFY_RESTORED}, {"completed", NOTIFY_COMPLETED}, {"reset", NOTIFY_RESET},
    {"warning", NOTIFY_WARNING},   {"leader", NOTIFY_LEADER},       {0}};
