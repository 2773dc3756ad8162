/* stdatomic.h - the atomics of C as calls of the explorer. It stands first on the include path of
 * whatever the model compiles, so the headers that ship are compiled as they are. */
#ifndef FB_MODEL_STDATOMIC_H
#define FB_MODEL_STDATOMIC_H

#include "../atomics.h"

typedef enum memory_order {
	memory_order_relaxed,
	memory_order_consume,
	memory_order_acquire,
	memory_order_release,
	memory_order_acq_rel,
	memory_order_seq_cst,
} memory_order;

#define MODEL_VALUE_OF(p) __typeof__((void)0, *(p))

#define atomic_init(p, v)                                                                          \
	({                                                                                         \
		MODEL_VALUE_OF(p) model_value_ = (v);                                              \
		model_init((volatile void *)(p), &model_value_, sizeof model_value_,               \
			   MODEL_SITE(#p));                                                        \
	})

#define atomic_load_explicit(p, order)                                                             \
	({                                                                                         \
		MODEL_VALUE_OF(p) model_value_;                                                    \
		model_load((const volatile void *)(p), &model_value_, sizeof model_value_, order,  \
			   MODEL_SITE(#p));                                                        \
		model_value_;                                                                      \
	})

#define atomic_store_explicit(p, v, order)                                                         \
	({                                                                                         \
		MODEL_VALUE_OF(p) model_value_ = (v);                                              \
		model_store((volatile void *)(p), &model_value_, sizeof model_value_, order,       \
			    MODEL_SITE(#p));                                                       \
	})

#define MODEL_CHANGE(how, p, v, order)                                                             \
	({                                                                                         \
		MODEL_VALUE_OF(p) model_value_ = (v), model_was_;                                  \
		model_change((volatile void *)(p), &model_value_, &model_was_,                     \
			     sizeof model_value_, how, order, MODEL_SITE(#p));                     \
		model_was_;                                                                        \
	})
#define atomic_exchange_explicit(p, v, order) MODEL_CHANGE(MODEL_EXCHANGE, p, v, order)
#define atomic_fetch_add_explicit(p, v, order) MODEL_CHANGE(MODEL_ADD, p, v, order)
#define atomic_fetch_sub_explicit(p, v, order) MODEL_CHANGE(MODEL_SUB, p, v, order)
#define atomic_fetch_or_explicit(p, v, order) MODEL_CHANGE(MODEL_OR, p, v, order)
#define atomic_fetch_and_explicit(p, v, order) MODEL_CHANGE(MODEL_AND, p, v, order)

#define atomic_compare_exchange_strong_explicit(p, expected, v, order, failure)                    \
	({                                                                                         \
		MODEL_VALUE_OF(p) model_value_ = (v);                                              \
		model_compare((volatile void *)(p), expected, &model_value_, sizeof model_value_,  \
			      order, failure, MODEL_SITE(#p));                                     \
	})
/* That it may fail for no reason is not modelled: it would be as if the loop ran once more. */
#define atomic_compare_exchange_weak_explicit atomic_compare_exchange_strong_explicit

#define atomic_thread_fence(order) model_fence(order, MODEL_SITE("fence"))
#define atomic_signal_fence(order) ((void)(order))

#endif
