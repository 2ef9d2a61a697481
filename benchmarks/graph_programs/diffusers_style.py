"""Diffusion models as a large library writes them: registered configs, processors, block factories, schedulers."""

import functools
import inspect
import math
from collections import OrderedDict
from dataclasses import dataclass, fields
from typing import Any, Optional, Union

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from graph_programs import made


class FrozenDict(OrderedDict):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        for key, value in self.items():
            setattr(self, key, value)
        self.__frozen = True

    def __delitem__(self, *args, **kwargs):
        raise Exception(f"You cannot use ``__delitem__`` on a {self.__class__.__name__} instance.")

    def __setattr__(self, name, value):
        if hasattr(self, "__frozen") and self.__frozen:
            raise Exception("frozen")
        super().__setattr__(name, value)

    def __setitem__(self, name, value):
        if hasattr(self, "__frozen") and self.__frozen:
            raise Exception("frozen")
        super().__setitem__(name, value)


class ConfigMixin:
    def register_to_config(self, **kwargs):
        previous = dict(self._internal_dict) if hasattr(self, "_internal_dict") else {}
        self._internal_dict = FrozenDict({**previous, **kwargs})

    @property
    def config(self):
        return self._internal_dict

    def __getattr__(self, name):
        if "_internal_dict" in self.__dict__ and name in self.__dict__["_internal_dict"]:
            return self._internal_dict[name]
        if hasattr(super(), "__getattr__"):
            return super().__getattr__(name)
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")


def register_to_config(init):
    @functools.wraps(init)
    def inner_init(self, *args, **kwargs):
        init_kwargs = {k: v for k, v in kwargs.items() if not k.startswith("_")}
        signature = inspect.signature(init)
        parameters = {n: p.default for i, (n, p) in enumerate(signature.parameters.items()) if i > 0}
        new_kwargs = dict(zip(parameters.keys(), args))
        new_kwargs.update({k: init_kwargs.get(k, d) for k, d in parameters.items() if k not in new_kwargs})
        init(self, *args, **init_kwargs)
        self.register_to_config(**new_kwargs)

    return inner_init


class BaseOutput(OrderedDict):
    def __post_init__(self):
        for f in fields(self):
            v = getattr(self, f.name)
            if v is not None:
                self[f.name] = v

    def __getitem__(self, k):
        return dict(self.items())[k] if isinstance(k, str) else self.to_tuple()[k]

    def __setitem__(self, key, value):
        super().__setitem__(key, value)
        super().__setattr__(key, value)

    def to_tuple(self):
        return tuple(self[k] for k in self.keys())


@dataclass
class UNetOutput(BaseOutput):
    sample: torch.Tensor = None


@dataclass
class SchedulerOutput(BaseOutput):
    prev_sample: torch.Tensor
    pred_original_sample: Optional[torch.Tensor] = None


def get_timestep_embedding(timesteps, dim, flip=False, downscale_freq_shift=1, scale=1, max_period=10000):
    assert len(timesteps.shape) == 1, "Timesteps should be a 1d-array"
    half = dim // 2
    exponent = -math.log(max_period) * torch.arange(start=0, end=half, dtype=torch.float32, device=timesteps.device)
    exponent = exponent / (half - downscale_freq_shift)
    emb = scale * timesteps[:, None].float() * torch.exp(exponent)[None, :]
    emb = torch.cat([torch.sin(emb), torch.cos(emb)], dim=-1)
    if flip:
        emb = torch.cat([emb[:, half:], emb[:, :half]], dim=-1)
    if dim % 2 == 1:
        emb = F.pad(emb, (0, 1, 0, 0))
    return emb


class AttnProcessor2_0:
    def __init__(self):
        if not hasattr(F, "scaled_dot_product_attention"):
            raise ImportError("needs a newer version")

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, **kwargs):
        residual, input_ndim = hidden_states, hidden_states.ndim
        if input_ndim == 4:
            batch, channel, height, width = hidden_states.shape
            hidden_states = hidden_states.flatten(2).transpose(1, 2)
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        q, k, v = attn.to_q(hidden_states), attn.to_k(context), attn.to_v(context)
        q, k, v = (t.view(t.shape[0], -1, attn.heads, t.shape[-1] // attn.heads).transpose(1, 2) for t in (q, k, v))
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=attention_mask, dropout_p=0.0, is_causal=False)
        out = out.transpose(1, 2).reshape(residual.shape[0], -1, attn.heads * q.shape[-1]).to(q.dtype)
        for module in attn.to_out:
            out = module(out)
        if input_ndim == 4:
            out = out.transpose(-1, -2).reshape(batch, channel, height, width)
        if attn.residual_connection:
            out = out + residual
        return out / attn.rescale_output_factor


class ScaledProcessor(AttnProcessor2_0):
    def __call__(self, attn, hidden_states, *args, scale=1.0, **kwargs):
        return super().__call__(attn, hidden_states, *args, **kwargs) * scale


class Attention(nn.Module):
    def __init__(self, query_dim, cross_dim=None, heads=2, processor=None, residual_connection=False):
        super().__init__()
        self.heads, self.scale = heads, (query_dim // heads) ** -0.5
        self.residual_connection, self.rescale_output_factor = residual_connection, 1.0
        self.to_q = nn.Linear(query_dim, query_dim, bias=False)
        self.to_k = nn.Linear(cross_dim or query_dim, query_dim, bias=False)
        self.to_v = nn.Linear(cross_dim or query_dim, query_dim, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(query_dim, query_dim), nn.Dropout(0.0)])
        self.set_processor(processor or AttnProcessor2_0())

    def set_processor(self, processor):
        if (
            hasattr(self, "processor")
            and isinstance(self.processor, nn.Module)
            and not isinstance(processor, nn.Module)
        ):
            self._modules.pop("processor")
        self.processor = processor

    def forward(self, hidden_states, encoder_hidden_states=None, attention_mask=None, **cross_attention_kwargs):
        accepted = set(inspect.signature(self.processor.__call__).parameters.keys())
        unused = [k for k in cross_attention_kwargs if k not in accepted]
        kwargs = {k: w for k, w in cross_attention_kwargs.items() if k in accepted and k not in unused}
        return self.processor(
            self,
            hidden_states,
            encoder_hidden_states=encoder_hidden_states,
            attention_mask=attention_mask,
            **kwargs,
        )


class ResnetBlock2D(nn.Module):
    def __init__(self, *, in_channels, out_channels=None, temb_channels=16, groups=2, eps=1e-6, scale_shift=False):
        super().__init__()
        out_channels = in_channels if out_channels is None else out_channels
        self.scale_shift = scale_shift
        self.norm1 = nn.GroupNorm(num_groups=groups, num_channels=in_channels, eps=eps)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.time_emb_proj = nn.Linear(temb_channels, out_channels * (2 if scale_shift else 1))
        self.norm2 = nn.GroupNorm(groups, out_channels, eps=eps)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.nonlinearity = nn.SiLU()
        self.conv_shortcut = None
        if in_channels != out_channels:
            self.conv_shortcut = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, input_tensor, temb, *args, **kwargs):
        h = self.conv1(self.nonlinearity(self.norm1(input_tensor)))
        temb = self.time_emb_proj(self.nonlinearity(temb))[:, :, None, None]
        if self.scale_shift:
            scale, shift = torch.chunk(temb, 2, dim=1)
            h = self.norm2(h) * (1 + scale) + shift
        else:
            h = self.norm2(h + temb)
        h = self.conv2(self.nonlinearity(h))
        if self.conv_shortcut is not None:
            input_tensor = self.conv_shortcut(input_tensor.contiguous())
        return input_tensor + h


class Upsample2D(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x, output_size=None):
        dtype = x.dtype
        if dtype == torch.bfloat16:
            x = x.to(torch.float32)
        if output_size is None:
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        else:
            x = F.interpolate(x, size=output_size, mode="nearest")
        return self.conv(x.to(dtype))


class DownBlock(nn.Module):
    has_cross_attention = False

    def __init__(self, cin, cout, add_downsample, **kwargs):
        super().__init__()
        self.resnets = nn.ModuleList([ResnetBlock2D(in_channels=cin, out_channels=cout, **kwargs)])
        self.downsamplers = nn.ModuleList([nn.Conv2d(cout, cout, 3, stride=2, padding=1)]) if add_downsample else None

    def forward(self, h, temb=None, encoder_hidden_states=None):
        output_states = ()
        for resnet in self.resnets:
            h = resnet(h, temb)
            output_states = output_states + (h,)
        if self.downsamplers is not None:
            for downsampler in self.downsamplers:
                h = downsampler(h)
            output_states += (h,)
        return h, output_states


class CrossAttnDownBlock(DownBlock):
    has_cross_attention = True

    def __init__(self, cin, cout, add_downsample, cross_dim=6, **kwargs):
        super().__init__(cin, cout, add_downsample, **kwargs)
        self.attentions = nn.ModuleList([Attention(cout, cross_dim, residual_connection=True) for _ in self.resnets])

    def forward(self, h, temb=None, encoder_hidden_states=None):
        output_states = ()
        for resnet, attn in zip(self.resnets, self.attentions):
            h = attn(resnet(h, temb), encoder_hidden_states=encoder_hidden_states, scale=0.5)
            output_states += (h,)
        for downsampler in self.downsamplers or ():
            h = downsampler(h)
            output_states += (h,)
        return h, output_states


class UpBlock(nn.Module):
    def __init__(self, cin, skip, cout, add_upsample, **kwargs):
        super().__init__()
        count = 2
        sizes = [(cin if i == 0 else cout) + skip[i] for i in range(count)]
        self.resnets = nn.ModuleList(ResnetBlock2D(in_channels=s, out_channels=cout, **kwargs) for s in sizes)
        self.upsamplers = nn.ModuleList([Upsample2D(cout)]) if add_upsample else None

    def forward(self, h, res_hidden_states_tuple, temb=None, upsample_size=None):
        for resnet in self.resnets:
            res = res_hidden_states_tuple[-1]
            res_hidden_states_tuple = res_hidden_states_tuple[:-1]
            if res.shape[-2:] != h.shape[-2:]:
                h = F.interpolate(h, size=res.shape[-2:])
            h = resnet(torch.cat([h, res], dim=1), temb)
        if self.upsamplers is not None:
            for upsampler in self.upsamplers:
                h = upsampler(h, upsample_size)
        return h


def get_down_block(name, *args, **kwargs):
    name = name[7:] if name.startswith("UNetRes") else name
    blocks = {"DownBlock2D": DownBlock, "CrossAttnDownBlock2D": CrossAttnDownBlock}
    if name not in blocks:
        raise ValueError(f"{name} does not exist.")
    return blocks[name](*args, **kwargs)


class ModelMixin(nn.Module):
    @property
    def dtype(self):
        return next(self.parameters()).dtype

    @property
    def attn_processors(self):
        processors = {}

        def fn_recursive_add_processors(name, module, processors):
            if hasattr(module, "set_processor"):
                processors[f"{name}.processor"] = module.processor
            for sub_name, child in module.named_children():
                fn_recursive_add_processors(f"{name}.{sub_name}", child, processors)
            return processors

        for name, module in self.named_children():
            fn_recursive_add_processors(name, module, processors)
        return processors

    def set_attn_processor(self, processor):
        count = len(self.attn_processors)
        if isinstance(processor, dict) and len(processor) != count:
            raise ValueError(f"{len(processor)} processors for {count} layers")
        for module in self.modules():
            if isinstance(module, Attention):
                module.set_processor(processor)


class UNet(ModelMixin, ConfigMixin):
    @register_to_config
    def __init__(
        self, sample_size: Optional[int] = None, in_channels=2, center_input_sample=False, time_embedding_type="p",
        block_out_channels=(4, 8), down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        resnet_time_scale_shift=False, attention_head_dim: Union[int, tuple] = 2,
    ):  # fmt: skip
        super().__init__()
        channels = block_out_channels
        self.conv_in = nn.Conv2d(in_channels, channels[0], kernel_size=3, padding=(1, 1))
        self.time_embedding = nn.Sequential(nn.Linear(channels[0], 16), nn.SiLU(), nn.Linear(16, 16))
        self.down_blocks = nn.ModuleList([])
        output_channel = channels[0]
        common = {"scale_shift": resnet_time_scale_shift}
        for i, kind in enumerate(down_block_types):
            input_channel, output_channel = output_channel, channels[i]
            is_final = i == len(channels) - 1
            self.down_blocks.append(get_down_block(kind, input_channel, output_channel, not is_final, **common))
        self.mid = nn.ModuleList([ResnetBlock2D(in_channels=channels[-1], **common), Attention(channels[-1], 6)])
        self.up_blocks = nn.ModuleList([UpBlock(8, (8, 4), 8, True, **common), UpBlock(8, (4, 4), 4, False, **common)])
        self.conv_norm_out = nn.GroupNorm(2, channels[0])
        self.conv_out = nn.Conv2d(channels[0], in_channels, 3, padding=1)

    def forward(self, sample, timestep, encoder_hidden_states=None, cross_attention_kwargs=None, return_dict=True):
        default_overall_up_factor = 2 ** (len(self.down_blocks) - 1)
        forward_upsample_size = any(dim % default_overall_up_factor != 0 for dim in sample.shape[-2:])
        if self.config.center_input_sample:
            sample = 2 * sample - 1.0
        timesteps = timestep
        if not torch.is_tensor(timesteps):
            dtype = torch.float64 if isinstance(timestep, float) else torch.int64
            timesteps = torch.tensor([timesteps], dtype=dtype, device=sample.device)
        elif len(timesteps.shape) == 0:
            timesteps = timesteps[None].to(sample.device)
        timesteps = timesteps.expand(sample.shape[0])
        emb = self.time_embedding(get_timestep_embedding(timesteps, self.config.block_out_channels[0]).to(self.dtype))
        sample = self.conv_in(sample)
        residuals = (sample,)
        for block in self.down_blocks:
            if hasattr(block, "has_cross_attention") and block.has_cross_attention:
                sample, states = block(sample, temb=emb, encoder_hidden_states=encoder_hidden_states)
            else:
                sample, states = block(sample, emb)
            residuals += states
        sample = self.mid[0](sample, emb)
        sample = self.mid[1](sample.flatten(2).transpose(1, 2), encoder_hidden_states).transpose(1, 2).view_as(sample)
        for i, block in enumerate(self.up_blocks):
            is_final_block = i == len(self.up_blocks) - 1
            res_samples = residuals[-len(block.resnets) :]
            residuals = residuals[: -len(block.resnets)]
            size = residuals[-1].shape[2:] if not is_final_block and forward_upsample_size else None
            sample = block(h=sample, temb=emb, res_hidden_states_tuple=res_samples, upsample_size=size)
        sample = self.conv_out(F.silu(self.conv_norm_out(sample)))
        return UNetOutput(sample=sample) if return_dict else (sample,)


class DDIMScheduler(ConfigMixin):
    order = 1

    @register_to_config
    def __init__(self, num_train_timesteps=100, beta_start=0.001, beta_end=0.02, prediction_type="epsilon", clip=True):
        self.betas = torch.linspace(beta_start**0.5, beta_end**0.5, num_train_timesteps, dtype=torch.float32) ** 2
        self.alphas_cumprod = torch.cumprod(1.0 - self.betas, dim=0)
        self.final_alpha_cumprod = torch.tensor(1.0)
        self.num_inference_steps = None
        self.timesteps = torch.from_numpy(np.arange(0, num_train_timesteps)[::-1].copy().astype(np.int64))

    def set_timesteps(self, num_inference_steps, device=None):
        if num_inference_steps > self.config.num_train_timesteps:
            raise ValueError(f"`num_inference_steps`: {num_inference_steps} is too large")
        self.num_inference_steps = num_inference_steps
        ratio = self.config.num_train_timesteps // num_inference_steps
        timesteps = (np.arange(0, num_inference_steps) * ratio).round()[::-1].copy().astype(np.int64)
        self.timesteps = torch.from_numpy(timesteps).to(device)

    def step(self, model_output, timestep, sample, eta=0.0, generator=None, return_dict=True):
        if self.num_inference_steps is None:
            raise ValueError("Number of inference steps is 'None', you need to run 'set_timesteps'")
        prev = timestep - self.config.num_train_timesteps // self.num_inference_steps
        alpha = self.alphas_cumprod[timestep]
        alpha_prev = self.alphas_cumprod[prev] if prev >= 0 else self.final_alpha_cumprod
        if self.config.prediction_type == "epsilon":
            original = (sample - (1 - alpha) ** 0.5 * model_output) / alpha**0.5
        else:
            original = (alpha**0.5) * sample - ((1 - alpha) ** 0.5) * model_output
        if self.config.clip:
            original = original.clamp(-1.0, 1.0)
        prev_sample = alpha_prev**0.5 * original + (1 - alpha_prev) ** 0.5 * model_output
        return (
            SchedulerOutput(prev_sample=prev_sample, pred_original_sample=original) if return_dict else (prev_sample,)
        )

    def add_noise(self, original, noise, timesteps):
        self.alphas_cumprod = self.alphas_cumprod.to(device=original.device)
        roots = []
        for factor in (self.alphas_cumprod, 1 - self.alphas_cumprod):
            root = factor.to(dtype=original.dtype)[timesteps.to(original.device)] ** 0.5
            root = root.flatten()
            while len(root.shape) < len(original.shape):
                root = root.unsqueeze(-1)
            roots.append(root)
        return roots[0] * original + roots[1] * noise


@made("2x2x8x8 2<100 2x3x6", "2x2x8x8 2<100 2x3x6")
def unet_forward():
    model = UNet(sample_size=8)
    return lambda x, t, c: model(x, t, encoder_hidden_states=c).sample


@made("1x2x7x9 =3 1x3x6", "1x2x7x9 =7 1x3x6", "1x2x7x9 =9 1x3x6")
def unet_of_odd_sizes():
    model = UNet(resnet_time_scale_shift=True, center_input_sample=True)
    model.set_attn_processor(ScaledProcessor())
    return lambda x, t, c: model(x, t, c, return_dict=False)[0]


@made("2x2x4x4 2x3x6", "2x2x4x4 2x3x6")
def unet_processors_walked():
    model = UNet()

    def run(x, c):
        names = list(model.attn_processors)
        model.set_attn_processor(ScaledProcessor() if "mid.1.processor" in names else AttnProcessor2_0())
        out = model(x, torch.tensor(4), c)
        return out[0], out["sample"].mean(), names, model.config.sample_size, len(out)

    return run


@made("2x2x4x4 2x2x4x4 2<100 2x3x6", "2x2x4x4 2x2x4x4 2<100 2x3x6")
def noise_prediction_training():
    model, scheduler = UNet(), DDIMScheduler()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

    def step(clean, noise, timesteps, c):
        noisy = scheduler.add_noise(clean, noise, timesteps)
        loss = F.mse_loss(model(noisy, timesteps, c, return_dict=False)[0], noise)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach()

    return step


@made("1x2x4x4 1x3x6", "1x2x4x4 1x3x6")
def guided_sampling_loop():
    model, scheduler = UNet().eval(), DDIMScheduler(prediction_type="v_prediction")

    @torch.no_grad()
    def pipeline(latents, prompt, guidance_scale=3.0, callback=None):
        scheduler.set_timesteps(3)
        context = torch.cat([torch.zeros_like(prompt), prompt])
        for i, t in enumerate(scheduler.timesteps.tolist()):
            pair = torch.cat([latents] * 2)
            uncond, text = model(pair, t, encoder_hidden_states=context).sample.chunk(2)
            predicted = uncond + guidance_scale * (text - uncond)
            latents = scheduler.step(predicted, t, latents).prev_sample
            if callback is not None and i % 2 == 0:
                callback(i, t, latents)
        return latents

    return pipeline


@made("1x2x4x4 1x2x4x4 =7", "1x2x4x4 1x2x4x4 =-9")
def scheduler_errors():
    scheduler: Any = DDIMScheduler()

    def run(model_output, sample, t):
        texts = []
        for attempt in (lambda: scheduler.step(model_output, t, sample), lambda: scheduler.config.__delitem__("clip")):
            try:
                attempt()
            except Exception as e:
                texts.append(f"{type(e).__name__}: {e}")
        return sample * 2, texts, scheduler.num_train_timesteps, hasattr(scheduler, "nothing")

    return run
