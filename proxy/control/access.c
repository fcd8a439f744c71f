/* The access log as the configuration wants it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/access.h"

#include "base/log.h"
#include "metrics/access_log.h"

enum err access_prepare(struct control *c, const struct config *config, struct why *why)
{
    if (config->log.access == ACCESS_OFF)
        return OK;
    return access_log_open(c->access, config->log.access_file, why);
}

void access_settle(struct control *c)
{
    if (control_config(c)->log.access == ACCESS_OFF)
        access_log_close(c->access);
}

void access_reopen(struct control *c)
{
    const struct config_log *conf = &control_config(c)->log;
    struct log_quoted file, reason;
    struct why why;
    if (access_log_reopen(c->access, &why) != OK)
        log_error("access_log_not_reopened", "file=%s why=%s still=\"the old file\"",
                  log_quote(&file, slice_str(conf->access_file)),
                  log_quote(&reason, slice_str(why.text)));
    else if (conf->access != ACCESS_OFF)
        log_info("access_log_reopened", "file=%s", log_quote(&file, slice_str(conf->access_file)));
}
