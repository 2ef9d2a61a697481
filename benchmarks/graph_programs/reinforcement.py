"""Updates and returns of reinforcement learning, distributions."""

from itertools import accumulate

import torch
import torch.nn as nn
import torch.nn.functional as F

from graph_programs import made, program


@made("8x4 8<2 8 8x4")
def dqn_update():
    q, target = nn.Linear(4, 2), nn.Linear(4, 2)
    opt = torch.optim.Adam(q.parameters(), lr=1e-2)

    def update(s, a, r, s2, gamma=0.99, tau=0.01):
        with torch.no_grad():
            best = r + gamma * target(s2).max(1)[0]
        loss = F.smooth_l1_loss(q(s).gather(1, a.unsqueeze(1)).squeeze(1), best)
        opt.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(q.parameters(), 10)
        opt.step()
        for tp, p in zip(target.parameters(), q.parameters()):
            tp.data.copy_(tau * p.data + (1 - tau) * tp.data)
        return loss.detach()

    return update


@made("8x4 8<2 8 8")
def ppo_epochs():
    actor, critic = nn.Linear(4, 2), nn.Linear(4, 1)
    opt = torch.optim.Adam([*actor.parameters(), *critic.parameters()], lr=1e-2)

    def update(obs, act, adv, ret, epochs=3, eps=0.2):
        with torch.no_grad():
            old = actor(obs).log_softmax(-1).gather(1, act[:, None]).squeeze(1)
        adv = (adv - adv.mean()) / (adv.std() + 1e-8)
        for _ in range(epochs):
            logp = actor(obs).log_softmax(-1)
            ratio = (logp.gather(1, act[:, None]).squeeze(1) - old).exp()
            policy = -torch.min(ratio * adv, ratio.clamp(1 - eps, 1 + eps) * adv).mean()
            entropy = -(logp.exp() * logp).sum(-1).mean()
            loss = policy + 0.5 * F.mse_loss(critic(obs).squeeze(-1), ret) - 0.01 * entropy
            opt.zero_grad()
            loss.backward()
            opt.step()
        return loss.detach()

    return update


@program("6 6 6?")
def gae(rewards, values, ends, discount=0.99, decay=0.95):
    """Advantages (Schulman et al. 2015, arXiv:1506.02438) and returns."""
    goes_on = ends.logical_not().type_as(values)
    following = torch.cat((values[1:], values.new_zeros(1)))
    surprises = rewards + discount * goes_on * following - values
    advantages, later = torch.empty_like(surprises), 0.0
    for i in range(len(surprises) - 1, -1, -1):
        later = advantages[i] = surprises[i] + discount * decay * goes_on[i] * later
    return advantages, values + advantages


@program("6")
def discounted(rewards, discount=0.9):
    backwards = accumulate(reversed(rewards.unbind()), lambda later, reward: reward + discount * later)
    returns = torch.stack(list(backwards)[::-1])
    return returns.sub(returns.mean()) / returns.std().clamp(min=1e-8)


@program("4x3", is_random=True)
def policy_sample(logits):
    dist = torch.distributions.Categorical(logits=logits)
    a = dist.sample()
    return a, dist.log_prob(a), dist.entropy()


@program("4x3 4x3")
def normal_log_prob(mu, x):
    dist = torch.distributions.Normal(mu, torch.ones_like(mu))
    return dist.log_prob(x).sum(-1), dist.entropy().mean()
