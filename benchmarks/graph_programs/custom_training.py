"""Training code that users write around a model: own optimizers and schedulers, trainers, adapters, averaging."""

import collections
import contextlib
import copy
import math
from collections import defaultdict
from collections.abc import Iterable

import torch
import torch.nn as nn
import torch.nn.functional as F

from graph_programs import made, seeded


def mlp(inputs=4, outputs=3, norm=False):
    layers = [nn.Linear(inputs, 8), nn.BatchNorm1d(8) if norm else nn.Identity(), nn.ReLU(), nn.Linear(8, outputs)]
    return seeded(nn.Sequential(*layers))


class Lion(torch.optim.Optimizer):
    def __init__(self, params, lr=1e-2, betas=(0.9, 0.99), weight_decay=0.0):
        if not 0.0 <= lr:
            raise ValueError(f"Invalid learning rate: {lr}")
        super().__init__(params, dict(lr=lr, betas=betas, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                p.data.mul_(1 - group["lr"] * group["weight_decay"])
                state = self.state[p]
                if len(state) == 0:
                    state["exp_avg"] = torch.zeros_like(p)
                exp_avg, (beta1, beta2) = state["exp_avg"], group["betas"]
                update = exp_avg * beta1 + p.grad * (1 - beta1)
                p.add_(torch.sign(update), alpha=-group["lr"])
                exp_avg.mul_(beta2).add_(p.grad, alpha=1 - beta2)
        return loss


@made("4x4 4<3", "4x4 4<3", "4x4 4<3")
def lion():
    model = mlp()
    optimizer = Lion([{"params": model[0].parameters(), "weight_decay": 0.1}, {"params": model[3].parameters()}])

    def step(x, y):
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach(), len(optimizer.state)

    return step


class SAM(torch.optim.Optimizer):
    def __init__(self, params, base_optimizer, rho=0.05, **kwargs):
        assert rho >= 0.0, f"Invalid rho: {rho}"
        super().__init__(params, dict(rho=rho, **kwargs))
        self.base_optimizer = base_optimizer(self.param_groups, **kwargs)
        self.param_groups = self.base_optimizer.param_groups

    @torch.no_grad()
    def first_step(self, zero_grad=False):
        scale_by = self._grad_norm()
        for group in self.param_groups:
            scale = group["rho"] / (scale_by + 1e-12)
            for p in group["params"]:
                if p.grad is None:
                    continue
                self.state[p]["old_p"] = p.data.clone()
                p.add_(p.grad * scale.to(p))
        if zero_grad:
            self.zero_grad()

    @torch.no_grad()
    def second_step(self, zero_grad=False):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.data = self.state[p]["old_p"]
        self.base_optimizer.step()
        if zero_grad:
            self.zero_grad()

    def step(self, closure=None):
        assert closure is not None
        closure = torch.enable_grad()(closure)
        self.first_step(zero_grad=True)
        closure()
        self.second_step()

    def _grad_norm(self):
        grads = [p.grad.norm(p=2) for group in self.param_groups for p in group["params"] if p.grad is not None]
        return torch.norm(torch.stack(grads), p=2)


@made("4x4 4<3", "4x4 4<3")
def sharpness_aware():
    model = mlp()
    optimizer = SAM(model.parameters(), torch.optim.SGD, lr=0.1, momentum=0.9)

    def step(x, y):
        def closure():
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            return loss

        loss = closure()
        optimizer.step(closure)
        optimizer.zero_grad()
        return loss.detach(), model[0].weight.detach().clone()

    return step


class Lookahead:
    def __init__(self, optimizer, k=2, alpha=0.5):
        self.optimizer, self.k, self.alpha, self.counter = optimizer, k, alpha, 0
        self.slow = [[p.detach().clone() for p in g["params"]] for g in optimizer.param_groups]

    def __getattr__(self, name):
        return getattr(self.optimizer, name)

    def step(self):
        self.optimizer.step()
        self.counter += 1
        if self.counter % self.k:
            return
        for group, slows in zip(self.optimizer.param_groups, self.slow):
            for p, q in zip(group["params"], slows):
                q.add_(p.data - q, alpha=self.alpha)
                p.data.copy_(q)


@made("4x4 4<3", "4x4 4<3", "4x4 4<3", "4x4 4<3")
def lookahead():
    model = mlp()
    optimizer = Lookahead(torch.optim.Adam(model.parameters(), lr=0.01))

    def step(x, y):
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach(), optimizer.param_groups[0]["lr"]

    return step


class ModelEMA:
    def __init__(self, model, decay=0.9, updates=0):
        self.ema = copy.deepcopy(model).eval()
        self.updates = updates
        self.decay = lambda n: decay * (1 - math.exp(-n / 4))
        for p in self.ema.parameters():
            p.requires_grad_(False)

    @contextlib.contextmanager
    def applied_to(self, model):
        backup = {k: v.clone() for k, v in model.state_dict().items()}
        model.load_state_dict(self.ema.state_dict())
        try:
            yield model
        finally:
            model.load_state_dict(backup)

    @torch.no_grad()
    def update(self, model):
        self.updates += 1
        d = self.decay(self.updates)
        source = model.state_dict()
        for k, v in self.ema.state_dict().items():
            if v.dtype.is_floating_point:
                v *= d
                v += (1.0 - d) * source[k].detach()


@made("4x4 4<3", "4x4 4<3", "4x4 4<3")
def averaged_by_state_dict():
    model = mlp(norm=True)
    ema = ModelEMA(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def step(x, y):
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        ema.update(model)
        return loss.detach(), ema.ema(x)

    return step


@made("4x4", "4x4")
def evaluated_with_swapped_weights():
    model = mlp()
    ema = ModelEMA(model)
    with torch.no_grad():
        for p in ema.ema.parameters():
            p.mul_(0.5)

    def evaluate(x):
        with torch.no_grad(), ema.applied_to(model) as swapped:
            inside = swapped(x)
        return inside, model(x)

    return evaluate


class Callback:
    def on_batch_start(self, trainer, batch): ...
    def on_batch_end(self, trainer, loss): ...


class LossMeter(Callback):
    def __init__(self):
        self.history = collections.deque(maxlen=3)

    def on_batch_end(self, trainer, loss):
        self.history.append(loss.detach())

    @property
    def average(self):
        return torch.stack(list(self.history)).mean()


class Warmup(Callback):
    def on_batch_start(self, trainer, batch):
        for group in trainer.optimizer.param_groups:
            group["lr"] = trainer.base_lr * min(1.0, (trainer.global_step + 1) / 3)


class Clip(Callback):
    def on_batch_end(self, trainer, loss):
        torch.nn.utils.clip_grad_value_(trainer.model.parameters(), 0.5)


class Trainer:
    base_lr = 0.1

    def __init__(self, model, callbacks=()):
        self.model, self.callbacks, self.global_step = model, list(callbacks), 0
        self.optimizer = torch.optim.SGD(model.parameters(), lr=self.base_lr)
        self.metrics = defaultdict(list)

    def call(self, hook, *args):
        for callback in self.callbacks:
            getattr(callback, f"on_{hook}", lambda *a: None)(self, *args)

    def training_step(self, batch):
        x, y = (t.to("cpu") for t in batch.values())
        loss = F.cross_entropy(self.model(x), y)
        self.log("loss", loss)
        return loss

    def log(self, name, value):
        self.metrics[name].append(value.detach() if hasattr(value, "detach") else value)

    def fit_batch(self, batch):
        self.call("batch_start", batch)
        self.optimizer.zero_grad()
        loss = self.training_step(batch)
        loss.backward()
        self.call("batch_end", loss)
        self.optimizer.step()
        self.global_step += 1
        return loss.detach()


@made("4x4 4<3", "4x4 4<3", "4x4 4<3", "4x4 4<3")
def trainer_with_callbacks():
    meter = LossMeter()
    trainer = Trainer(mlp(), [Warmup(), meter, Clip()])

    def step(x, y):
        loss = trainer.fit_batch({"x": x, "y": y})
        return loss, meter.average, trainer.global_step, len(trainer.metrics["loss"])

    return step


class LoRALayer(nn.Module):
    def __init__(self, base, rank=2, alpha=4):
        super().__init__()
        self.base, self.scaling, self.merged = base, alpha / rank, False
        self.lora_A = nn.ParameterDict({"default": nn.Parameter(torch.zeros(rank, base.in_features))})
        self.lora_B = nn.ParameterDict({"default": nn.Parameter(torch.zeros(base.out_features, rank))})
        self.active_adapters = ["default"]
        self.dropout = nn.ModuleDict({"default": nn.Dropout(0.0)})

    def __getattr__(self, name):
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.base, name)

    def delta(self, name):
        return self.lora_B[name] @ self.lora_A[name] * self.scaling

    def merge(self):
        for name in self.active_adapters:
            if name in self.lora_A.keys():
                self.base.weight.data += self.delta(name)
        self.merged = True

    def forward(self, x, *args, **kwargs):
        result = self.base(x, *args, **kwargs)
        if self.merged:
            return result
        for active in self.active_adapters:
            if active not in self.lora_A.keys():
                continue
            down = F.linear(self.dropout[active](x.to(self.lora_A[active].dtype)), self.lora_A[active])
            result = result + F.linear(down, self.lora_B[active]) * self.scaling
        return result.to(x.dtype)


def inject_adapter(model, targets: Iterable[str]):
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.Linear) and any(name.endswith(t) for t in targets):
            parent_name, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent_name), child, LoRALayer(module))
    for name, p in model.named_parameters():
        p.requires_grad = "lora_" in name
    return model


@made("4x4 4<3", "4x4 4<3")
def adapters_trained():
    model = inject_adapter(nn.ModuleDict({"body": mlp(4, 4), "head": nn.Linear(4, 3)}), ["0", "head"])
    optimizer = torch.optim.Adam((p for p in model.parameters() if p.requires_grad), lr=1e-2)

    def step(x, y):
        loss = F.cross_entropy(model["head"](model["body"](x)), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        frozen = [n for n, p in model.named_parameters() if p.grad is None]
        return loss.detach(), len(frozen), model["head"].in_features

    return step


@made("2x4 =False", "2x4 =True", "2x4 =False")
def adapters_merged_in_call():
    layer = LoRALayer(nn.Linear(4, 3))

    @torch.no_grad()
    def run(x, merge):
        if merge and not layer.merged:
            layer.merge()
        return layer(x), layer.merged

    return run


class FakeQuantize(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, scale, low, high):
        q = torch.round(x / scale)
        ctx.save_for_backward((q >= low) & (q <= high))
        ctx.limits = (low, high)
        return q.clamp(low, high) * scale

    @staticmethod
    def backward(ctx, grad):
        (mask,) = ctx.saved_tensors
        low, high = ctx.limits
        return grad * mask, (grad * ~mask).sum().reshape(()) if ctx.needs_input_grad[1] else None, None, None


class QuantLinear(nn.Linear):
    def __init__(self, *args, bits=4, **kwargs):
        super().__init__(*args, **kwargs)
        self.limits = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        self.register_buffer("observed", torch.tensor(0.0))
        self.enabled = True

    def forward(self, x):
        if not self.enabled:
            return super().forward(x)
        if self.training:
            with torch.no_grad():
                self.observed.copy_(torch.maximum(self.observed * 0.9, x.abs().max()))
        weight = FakeQuantize.apply(self.weight, self.weight.detach().abs().max() / self.limits[1], *self.limits)
        return F.linear(FakeQuantize.apply(x, self.observed / 7, *self.limits), weight, self.bias)


@made("4x4 4<3", "4x4 4<3", "4x4 4<3")
def quantisation_aware():
    model = nn.Sequential(QuantLinear(4, 8), nn.Hardtanh(), QuantLinear(8, 3, bits=8))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def step(x, y):
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach(), model[0].observed.clone()

    return step


class Accumulator:
    def __init__(self, model, steps):
        self.model, self.steps, self.count = model, steps, 0

    @contextlib.contextmanager
    def accumulate(self):
        self.count += 1
        self.sync = self.count % self.steps == 0
        with contextlib.nullcontext() if self.sync else self.no_sync():
            yield

    @contextlib.contextmanager
    def no_sync(self):
        before, self.model.require_sync = getattr(self.model, "require_sync", True), False
        try:
            yield
        finally:
            self.model.require_sync = before


@made("4x4 4<3", "4x4 4<3", "4x4 4<3", "4x4 4<3")
def accumulation_contexts():
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda e: 0.5**e)
    accumulator = Accumulator(model, 2)

    def step(x, y):
        with accumulator.accumulate():
            loss = F.cross_entropy(model(x), y) / accumulator.steps
            loss.backward()
            if accumulator.sync:
                optimizer.step()
                scheduler.step()
                optimizer.zero_grad()
        return loss.detach(), accumulator.sync, model[0].weight.grad is None, scheduler.get_last_lr()

    return step


def maml_forward(params, x):
    for i in (0, 3):
        x = F.linear(x, params[f"{i}.weight"], params[f"{i}.bias"])
        x = F.relu(x) if i == 0 else x
    return x


@made("2x4x4 2x4x3", "2x4x4 2x4x3")
def maml_over_tasks():
    model = mlp()
    outer = torch.optim.Adam(model.parameters(), lr=1e-2)

    def step(xs, ys):
        losses = []
        for x, y in zip(xs, ys):
            fast = collections.OrderedDict(model.named_parameters())
            for _ in range(2):
                inner = F.mse_loss(maml_forward(fast, x[:2]), y[:2])
                grads = torch.autograd.grad(inner, list(fast.values()), create_graph=True)
                fast = collections.OrderedDict((n, p - 0.1 * g) for (n, p), g in zip(fast.items(), grads))
            losses.append(F.mse_loss(maml_forward(fast, x[2:]), y[2:]))
        outer.zero_grad()
        torch.stack(losses).mean().backward()
        outer.step()
        return torch.stack(losses).detach()

    return step
