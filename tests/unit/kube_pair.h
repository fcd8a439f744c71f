/* The two proxies of kube_world.h, before the first rollout, and what tests do with them.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_TESTS_KUBE_PAIR_H
#define SERIN_TESTS_KUBE_PAIR_H

#include "kube_world.h"

static struct cluster cluster;

static int before_each(void **state)
{
    (void)state;
    cluster_init(&cluster);
    cluster_second(&cluster);
    return 0;
}

static int after_each(void **state)
{
    (void)state;
    cluster_fini(&cluster);
    return 0;
}

static struct proxy *leader(void)
{
    return &cluster.proxies[cluster.api.holder];
}

static struct proxy *follower(void)
{
    return &cluster.proxies[!cluster.api.holder];
}

static void command(struct proxy *p, enum rollout_verb verb)
{
    struct why why = {""};
    if (rollout_command(p->rollout, verb, "tester", &why) != OK)
        fail_msg("%s", why.text);
}

#endif
